package qemu

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// counts returns how often the guest's CPU cpu has passed fn_sync's first
// instruction and its second block. Its number is not the vCPU's: the others
// take theirs in the order in which they come up.
func counts(t testing.TB, g *testGuest, m *Machine, cpu int) (first, second uint64) {
	b := phys(t, m, g.syms["counters"]+guestmem.GVA(16*cpu), 16)
	return word(b), word(b[8:])
}

// A Sync hold keeps its vCPU at the hook, a pause leaves it there, and after
// it the same passage is not told of again.
func TestSyncPause(t *testing.T) {
	g := needGuest(t)
	for _, cpus := range []int{1, 3} {
		t.Run(fmt.Sprintf("cpus=%d", cpus), func(t *testing.T) {
			const rounds = 40
			m := start(t, g.config(t, cpus, fmt.Sprintf("p%d%d", cpus, rounds)))
			ctx := limited(t)
			c := newChecker(t, g)
			passed := make([]uint64, cpus)
			late := 0
			h := &handler{plan: planOf(g.plan(true))}
			h.event = func(ev *hv.Event) error {
				if err := c.event(ev); err != nil || ev.Hook != hookSync {
					return err
				}
				cpu := int(word(ev.Context))
				n := passed[cpu]
				passed[cpu]++
				if first, second := counts(t, g, m, cpu); first > n+1 || second > n {
					t.Errorf("CPU %d is in passage %d and has counted %d, %d", cpu, n, first, second)
				}
				if n%2 == 1 {
					return nil // held, not paused
				}
				if err := m.Pause(ctx); err != nil {
					return err
				}
				regs, err := m.Registers(ctx, ev.VCPU)
				if err != nil {
					return err
				}
				pc := guestmem.GVA(regs["rip"])
				if pc != g.syms["fn_sync"] && pc != g.syms["fn_sync_next"] {
					late++
				}
				if first, second := counts(t, g, m, cpu); first > n+1 || second > n {
					late++
				}
				// It stands still for as long as it is paused, and until
				// the event was handled.
				if err := m.Resume(ctx); err != nil {
					return err
				}
				if err := m.Pause(ctx); err != nil {
					return err
				}
				if first, second := counts(t, g, m, cpu); first > n+1 || second > n {
					late++
				}
				return m.Resume(ctx)
			}
			if err := m.Run(ctx, h); err != nil {
				t.Fatal(err)
			}
			c.done(m, cpus, rounds)
			if late > 0 {
				t.Errorf("%d of %d times the vCPU had run on from the hook", late, cpus*rounds/2)
			}
		})
	}
}

// Pauses, interrupts, Sync holds and a full ring at the same time: nothing
// hangs and nothing is lost.
func TestPauseStress(t *testing.T) {
	g := needGuest(t)
	const cpus, rounds = 3, 1500
	m := start(t, g.config(t, cpus, fmt.Sprintf("p%d%d", cpus, rounds)))
	ctx := limited(t)
	c := newChecker(t, g)
	rng := rand.New(rand.NewPCG(1, 2))
	pauses := 0
	h := &handler{plan: planOf(g.plan(true))}
	h.event = func(ev *hv.Event) error {
		if rng.IntN(3000) == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		if ev.Kind == hv.Entry && ev.Hook == hookSync && rng.IntN(40) == 0 {
			pauses++
			if err := m.Pause(ctx); err != nil {
				return err
			}
			if rng.IntN(2) == 0 {
				if _, err := m.Registers(ctx, rng.IntN(cpus)); err != nil {
					return err
				}
			}
			if err := m.Resume(ctx); err != nil {
				return err
			}
		}
		return c.event(ev)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(2)
	interrupts, outside := 0, 0
	go func() {
		defer wg.Done()
		for !isClosed(stop) {
			time.Sleep(3 * time.Millisecond)
			err := m.Interrupt(ctx, func() error {
				// Everything that happened was delivered.
				if lost := m.Lost(); lost != 0 {
					return fmt.Errorf("%d events were not delivered before an interrupt", lost)
				}
				interrupts++
				return nil
			})
			if err != nil && !errors.Is(err, hv.ErrNotRunning) {
				t.Error(err)
			}
		}
	}()
	go func() {
		defer wg.Done()
		for !isClosed(stop) {
			time.Sleep(5 * time.Millisecond)
			if err := m.Pause(ctx); err != nil {
				t.Error(err)
				return
			}
			if _, err := m.Registers(ctx, 0); err != nil {
				t.Error(err)
			}
			if err := m.Resume(ctx); err != nil {
				t.Error(err)
			}
			outside++
		}
	}()
	err := m.Run(ctx, h)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	c.done(m, cpus, rounds)
	t.Logf("%d pauses in the handler, %d outside, %d interrupts", pauses, outside, interrupts)
	if interrupts == 0 || outside == 0 {
		t.Error("no pause came about")
	}
}

func TestPauseBeforeRun(t *testing.T) {
	g := needGuest(t)
	m := start(t, g.config(t, 1, "p110"))
	ctx := limited(t)
	if err := m.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Registers(ctx, 0); err != nil {
		t.Error(err)
	}
	if _, err := m.Registers(ctx, 1); err == nil {
		t.Error("registers of a vCPU that there is not")
	}
	if err := m.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Interrupt(ctx, func() error { return nil }); !errors.Is(err, hv.ErrNotRunning) {
		t.Errorf("Interrupt before Run: %v", err)
	}
	if err := m.Run(ctx, &handler{plan: planOf(g.plan(false))}); err != nil {
		t.Fatal(err)
	}
}

// A pause that nobody asked Run for while it waits for events.
func TestInterruptIdle(t *testing.T) {
	g := needGuest(t)
	m := start(t, g.config(t, 1, "h15"))
	ctx := limited(t)
	h := &handler{plan: planOf(g.plan(false))}
	n := 0
	h.event = func(*hv.Event) error { n++; return nil }
	boom := errors.New("boom")
	ended := make(chan error)
	go func() { ended <- m.Run(ctx, h) }()
	for seen := 0; seen < 61; {
		err := m.Interrupt(ctx, func() error { seen = n; return boom }, func() error {
			t.Error("went on after an error")
			return nil
		})
		if errors.Is(err, hv.ErrNotRunning) {
			continue
		}
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	// What comes after does so while the guest runs, and sees no more events.
	seen, paused := 0, time.Duration(0)
	err := m.Interrupt(ctx, func() error {
		seen = n
		_, paused = m.Paused()
		return nil
	}, func() error {
		over, present := m.Paused()
		if n != seen || paused <= 0 || present != 0 || over < paused {
			t.Errorf("%d events more; paused for %v in it, %v behind it, %v altogether", n-seen, paused, present, over)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	_ = m.proc.cmd.Process.Kill()
	if err := <-ended; !errors.Is(err, hv.ErrGuestGone) {
		t.Fatal(err)
	}
}

// A vCPU that enters the kernel during a pause waits for its plan, and the
// pause for it.
func TestInterruptAtEntry(t *testing.T) {
	g := needGuest(t)
	for range 8 {
		m := start(t, g.config(t, 1, "p110"))
		ctx := limited(t)
		over := make(chan struct{})
		go func() {
			defer close(over)
			for {
				err := m.Interrupt(ctx, func() error { return nil })
				if errors.Is(err, hv.ErrNotRunning) && m.runState.Load() == runOver || ctx.Err() != nil {
					return
				}
			}
		}()
		if err := m.Run(ctx, &handler{plan: planOf(g.plan(true))}); err != nil {
			t.Fatal(err)
		}
		<-over
		m.Close()
	}
}
