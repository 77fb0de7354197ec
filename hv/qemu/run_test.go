package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

func TestRunEvents(t *testing.T) {
	g := needGuest(t)
	for _, cpus := range []int{1, 4} {
		t.Run(fmt.Sprintf("cpus=%d", cpus), func(t *testing.T) {
			const rounds = 3000
			var console bytes.Buffer
			cfg := g.config(t, cpus, fmt.Sprintf("p%d%d", cpus, rounds))
			cfg.Console = &console
			m := start(t, cfg)
			c := newChecker(t, g)
			h := &handler{event: c.event}
			h.plan = func(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
				if pc != g.syms["high_start"] {
					t.Errorf("the kernel was entered at %#x", pc)
				}
				if !bytes.Equal(code, phys(t, m, pc, 64)) {
					t.Errorf("code % x", code)
				}
				return g.plan(false), nil
			}
			if err := m.Run(limited(t), h); err != nil {
				t.Fatal(err)
			}
			c.done(m, cpus, rounds)
			if h.entered != 1 {
				t.Errorf("KernelEntered was called %d times", h.entered)
			}
			if !strings.Contains(console.String(), "guest done") {
				t.Errorf("console %q", console.String())
			}
			// The guest is gone, its memory is not.
			if got := word(phys(t, m, g.syms["counters"], 8)); got != rounds {
				t.Errorf("counter of vCPU 0 is %d after the end", got)
			}
			if _, err := m.Registers(limited(t), 0); err != nil {
				t.Errorf("registers after the end: %v", err)
			}
		})
	}
}

func TestRunEnds(t *testing.T) {
	g := needGuest(t)
	for _, c := range []struct{ how, want string }{
		{"p", ""}, {"r", ""}, {"t", "triple fault"},
	} {
		t.Run(c.how, func(t *testing.T) {
			m := start(t, g.config(t, 1, c.how+"1"+"10"))
			err := m.Run(limited(t), &handler{plan: planOf(g.plan(false))})
			var exit *hv.ExitError
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (!errors.As(err, &exit) || !strings.Contains(exit.Reason, c.want)):
				t.Fatalf("error %v, want an ExitError with %q", err, c.want)
			}
			if got := word(phys(t, m, g.syms["counters"], 8)); got != 10 {
				t.Errorf("counter is %d after the end", got)
			}
			if err := m.Run(limited(t), &handler{}); err == nil {
				t.Error("a second Run was accepted")
			}
		})
	}
}

func TestRunKilled(t *testing.T) {
	g := needGuest(t)
	m := start(t, g.config(t, 1, "l1"))
	n := 0
	err := m.Run(limited(t), &handler{plan: planOf(g.plan(false)), event: func(*hv.Event) error {
		if n++; n == 1000 {
			_ = m.proc.cmd.Process.Kill()
		}
		return nil
	}})
	var exit *hv.ExitError
	if !errors.As(err, &exit) || !errors.Is(err, hv.ErrGuestGone) || !strings.Contains(exit.Reason, "killed") {
		t.Fatalf("error %v", err)
	}
	if n < 1000 {
		t.Errorf("%d events", n)
	}
}

func TestRunErrors(t *testing.T) {
	g := needGuest(t)
	boom := errors.New("boom")
	t.Run("plan", func(t *testing.T) {
		m := start(t, g.config(t, 1, "l1"))
		err := m.Run(limited(t), &handler{plan: func(guestmem.GVA, []byte) (*hv.Plan, error) { return nil, boom }})
		if !errors.Is(err, boom) {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("bad plan", func(t *testing.T) {
		m := start(t, g.config(t, 1, "l1"))
		err := m.Run(limited(t), &handler{plan: planOf(&hv.Plan{Hooks: []hv.Hook{{Name: "low", Entry: 0x1000}}})})
		if err == nil || !strings.Contains(err.Error(), "low") {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("event", func(t *testing.T) {
		m := start(t, g.config(t, 2, "l2"))
		n := 0
		err := m.Run(limited(t), &handler{plan: planOf(g.plan(true)), event: func(*hv.Event) error {
			if n++; n == 500 {
				return boom
			}
			return nil
		}})
		if !errors.Is(err, boom) || n != 500 {
			t.Fatalf("error %v after %d events", err, n)
		}
		if _, err := m.Registers(limited(t), 1); err != nil {
			t.Errorf("the guest is not paused: %v", err)
		}
	})
	t.Run("context", func(t *testing.T) {
		m := start(t, g.config(t, 2, "l2"))
		ctx, cancel := context.WithCancel(limited(t))
		n := 0
		err := m.Run(ctx, &handler{plan: planOf(g.plan(true)), event: func(*hv.Event) error {
			if n++; n == 500 {
				cancel()
			}
			return nil
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
		if m.Lost() != 0 {
			t.Errorf("%d events are missing after a cancelled run", m.Lost())
		}
		if err := m.Interrupt(limited(t), func() error { return nil }); !errors.Is(err, hv.ErrNotRunning) {
			t.Errorf("Interrupt after Run: %v", err)
		}
	})
}

// A reader that is slower than the guest makes the guest wait and loses
// nothing.
func TestRunSlowReader(t *testing.T) {
	g := needGuest(t)
	const cpus, rounds = 2, 12000 // some 300 MB of records
	m := start(t, g.config(t, cpus, fmt.Sprintf("p%d%d", cpus, rounds)))
	c := newChecker(t, g)
	var once sync.Once
	full := false
	err := m.Run(limited(t), &handler{plan: planOf(g.plan(false)), event: func(ev *hv.Event) error {
		once.Do(func() {
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !full; {
				time.Sleep(10 * time.Millisecond)
				full = m.shared.ctl.waiters.Load() == cpus
			}
		})
		return c.event(ev)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !full {
		t.Error("the ring was never full")
	}
	c.done(m, cpus, rounds)
}
