//go:build linux && amd64

package kvm

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	gokvm "github.com/bobuhiro11/gokvm/kvm"

	"github.com/leakvisor/leakvisor/hv"
)

// allocators hooks the guest's two allocator functions.
func (g *guest) allocators(t testing.TB) []hv.Hook {
	t.Helper()
	return []hv.Hook{g.hook(t, "__kmalloc"), g.hook(t, "kfree")}
}

// taskStack is where the stubs learn of the first CPU's stack.
func (g *guest) taskStack(t testing.TB) []hv.Fetch {
	t.Helper()
	return []hv.Fetch{{Offset: uint64(g.gva(t, "task_stack")), Size: 8}}
}

func TestMechanism(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	for hook, want := range map[string]string{HookTrap: "KVM trap (", HookRing: "KVM ring (", HookAuto: "KVM ring ("} {
		m := g.boot(t, caps, "c", func(c *Config) { c.Hook = hook })
		h := &script{plan: &hv.Plan{Hooks: g.allocators(t)}}
		if err := run(t, m, h); err != nil {
			t.Fatal(err)
		}
		if got := m.Mechanism(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", hook, got)
		} else {
			t.Log(got)
		}
	}
}

// TestRingOverflow lets the guest fill the ring while nobody reads: it waits,
// and nothing is lost. Some of the time the guest is paused from outside.
func TestRingOverflow(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	const calls = 500
	m := g.boot(t, caps, fmt.Sprintf("h%d", calls), func(c *Config) { c.Hook, c.ringPages = HookRing, 1 })
	hooks := g.allocators(t)
	for i := range hooks {
		hooks[i].StackBytes = 8 << 10
	}
	cc := newCallChecker(t, 2)
	h := &script{plan: &hv.Plan{Hooks: hooks, StackSize: 1 << 20}}
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	full := false
	h.event = func(ev *hv.Event) error {
		if ev.Seq%100 == 0 {
			ring := m.tracer.ring.Load()
			for end := time.Now().Add(runLimit / 2); ev.Seq == 0 && time.Now().Before(end) && !full; time.Sleep(10 * time.Millisecond) {
				ring.mu.Lock()
				full = ring.waits > 0
				ring.mu.Unlock()
			}
			if err := m.Pause(ctx); err != nil {
				return err
			}
			if regs, err := m.Registers(ctx, 0); err != nil || ring.inStub(regs["rip"]) {
				t.Errorf("paused at %#x, in a stub (%v)", regs["rip"], err)
			}
			if err := m.Resume(ctx); err != nil {
				return err
			}
		}
		return cc.event(ev)
	}
	if err := m.Run(ctx, h); err != nil {
		t.Fatal(err)
	}
	if cc.entries[0] != calls || cc.entries[1] != calls || cc.exits != 2*calls || m.Lost() != 0 {
		t.Errorf("entries %v, exits %d, lost %d", cc.entries, cc.exits, m.Lost())
	}
	if !full {
		t.Error("the ring was never full")
	}
}

// TestRingPauses pauses two vCPUs that write records all the time: none is
// left unfinished, and at each pause the events tell what the guest's own
// counters do.
func TestRingPauses(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "2", func(c *Config) { c.Hook, c.SMP = HookRing, 2 })
	startSecondary(t, g, m)
	cc := newCallChecker(t, 2)
	h := &script{plan: &hv.Plan{Hooks: g.allocators(t)}}
	events := 0
	h.event = func(ev *hv.Event) error { events++; return cc.event(ev) }
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- m.Run(ctx, h) }()
	for !m.tracer.started.Load() {
		time.Sleep(time.Millisecond)
	}
	pauses := 0
	for {
		err := m.Interrupt(ctx, func() error {
			pauses++
			if ring := m.tracer.ring.Load(); ring != nil && ring.head.Load() != m.tracer.reader.pos {
				t.Errorf("a record is unfinished: head %d, read %d", ring.head.Load(), m.tracer.reader.pos)
			}
			return nil
		})
		if err != nil {
			break
		}
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if cc.entries[0] != 400 || len(cc.open) != 0 || m.Lost() != 0 || pauses < 3 {
		t.Errorf("entries %v, open %d, lost %d, pauses %d", cc.entries, len(cc.open), m.Lost(), pauses)
	}
	if cc.vcpus[0] == 0 || cc.vcpus[1] == 0 {
		t.Errorf("events by vCPU: %v", cc.vcpus)
	}
	t.Logf("%d pauses, %d events", pauses, events)
}

// TestHeldSeesAll: when the handler gets an event that holds its vCPU, it was
// told all that any vCPU has done.
func TestHeldSeesAll(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	for _, hook := range []string{HookTrap, HookRing} {
		m := g.boot(t, caps, "2", func(c *Config) { c.Hook, c.SMP = hook, 2 })
		startSecondary(t, g, m)
		cc := newCallChecker(t, 3)
		holds := 0
		plan := &hv.Plan{Hooks: append(g.allocators(t), hv.Hook{Name: "level2", Entry: g.gva(t, "level2"), Sync: true})}
		h := &script{plan: plan, event: func(ev *hv.Event) error {
			if ev.Kind == hv.Exit || ev.Hook != 2 {
				return cc.event(ev)
			}
			cc.seq++
			holds++
			ring := m.tracer.ring.Load()
			if len(m.tracer.queue) != 0 || ring != nil && ring.head.Load() != m.tracer.reader.pos {
				t.Errorf("%s: not all was told before event %d", hook, ev.Seq)
			}
			return nil
		}}
		if err := run(t, m, h); err != nil {
			t.Fatal(err)
		}
		if cc.entries[0] != 400 || holds != 400 || len(cc.open) != 0 || m.Lost() != 0 {
			t.Errorf("%s: entries %v, %d holds, open %d, lost %d", hook, cc.entries, holds, len(cc.open), m.Lost())
		}
	}
}

// TestRingContext compares what stubs read of the guest's memory with what it
// holds.
func TestRingContext(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	for _, hook := range []string{HookTrap, HookRing} {
		m := g.boot(t, caps, "c", func(c *Config) { c.Hook = hook })
		h := &script{plan: &hv.Plan{Hooks: g.allocators(t), Context: []hv.Fetch{
			{Offset: uint64(g.gva(t, "command")), Size: 1},
			{Offset: uint64(g.gva(t, "kept")), Size: 8},
			{Prev: 2, Offset: 8, Size: 8}, // kept->tag
			{Prev: 2, Offset: 0, Size: 16},
		}}}
		seen := 0
		h.event = func(ev *hv.Event) error {
			if ev.Kind != hv.Entry {
				return nil
			}
			c := ev.Context
			if len(c) != 8+8+8+16 || c[0] != 'c' || c[1] != 0 {
				t.Fatalf("%s: context % x", hook, c)
			}
			kept, tag := le64(c[8:]), le64(c[16:])
			switch {
			case kept == 0:
				if tag != 0 {
					t.Errorf("%s: read %#x through a null pointer", hook, tag)
				}
			case tag < 33 || tag > 96 || le64(c[32:]) != tag:
				t.Errorf("%s: tag %d and %d", hook, tag, le64(c[32:]))
			default:
				seen++
			}
			return nil
		}
		if err := run(t, m, h); err != nil {
			t.Fatal(err)
		}
		if seen == 0 {
			t.Errorf("%s: nothing was read", hook)
		}
	}
}

// TestRingUnusable: a context that stubs cannot read leaves traps, or is an
// error where a ring was asked for.
func TestRingUnusable(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	plan := &hv.Plan{Hooks: g.allocators(t), Context: []hv.Fetch{{Reg: "rdi", Size: 8}}}
	m := g.boot(t, caps, "c", func(c *Config) { c.Hook = HookRing })
	if err := run(t, m, &script{plan: plan}); err == nil || !strings.Contains(err.Error(), "no ring probes") {
		t.Errorf("error %v", err)
	}
	m = g.boot(t, caps, "c", func(c *Config) { c.Hook = HookAuto })
	cc := newCallChecker(t, 2)
	if err := run(t, m, &script{plan: plan, event: cc.event}); err != nil || cc.entries[0] != 100 {
		t.Errorf("entries %v, %v", cc.entries, err)
	}
}

// TestRingDamaged: a guest that scribbles into the ring loses events, and that
// is said.
func TestRingDamaged(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "c", func(c *Config) { c.Hook = HookRing })
	first := true
	h := &script{plan: &hv.Plan{Hooks: g.allocators(t)}}
	h.event = func(*hv.Event) error {
		if first {
			first = false
			if err := m.Pause(t.Context()); err != nil {
				return err
			}
			r := m.tracer.ring.Load()
			at := r.head.Load() % r.layout.size
			copy(r.data[at:], []byte{3, 0, 0, 0, 0, 0, 0, 0})
			return m.Resume(t.Context())
		}
		return nil
	}
	if err := run(t, m, h); err == nil || m.Lost() == 0 {
		t.Errorf("error %v, lost %d", err, m.Lost())
	}
}

func TestFreeRun(t *testing.T) {
	table := make([]byte, pageSize)
	for i := range tableEntries {
		table[8*i] = pagePresent
	}
	if _, err := freeRun(table, 8, 3); err == nil {
		t.Error("found room in a full table")
	}
	for _, i := range []int{4, 5, 20, 21, 22, 23} {
		table[8*i] = 0
	}
	if at, err := freeRun(table, 8, 3); err != nil || at != 20 {
		t.Errorf("above: %d, %v", at, err)
	}
	table[8*3] = 0
	if at, err := freeRun(table, 8, 3); err != nil || at != 3 {
		t.Errorf("below: %d, %v", at, err)
	}
}

// BenchmarkCall times a call of an allocator: plain, with traps, with ring
// probes. The time is the guest's own, by the time stamp counter.
func BenchmarkCall(b *testing.B) {
	caps := needKVM(b)
	g := buildGuest(b)
	for _, c := range []struct{ name, command, hook string }{
		{"plain", "h", ""}, {"trap", "h", HookTrap}, {"ring", "h", HookRing},
	} {
		b.Run(c.name, func(b *testing.B) {
			pairs := 50000
			if c.hook == HookTrap {
				pairs = 1000
			}
			var ns float64
			for b.Loop() {
				m := g.boot(b, caps, fmt.Sprintf("%s%d", c.command, pairs), func(cfg *Config) {
					if c.hook != "" {
						cfg.Hook = c.hook
					}
				})
				h := &script{plan: &hv.Plan{}}
				if c.hook != "" {
					h.plan.Hooks, h.plan.TaskStack = g.allocators(b), g.taskStack(b)
				}
				if err := run(b, m, h); err != nil {
					b.Fatal(err)
				}
				khz, err := gokvm.GetTSCKHz(m.vm.vcpus[0].fd)
				if err != nil || khz == 0 {
					b.Fatalf("no frequency of the time stamp counter: %v", err)
				}
				if got := g.word(b, m, "calls"); got != uint64(2*pairs) || m.Lost() != 0 {
					b.Fatalf("%d calls, lost %d", got, m.Lost())
				}
				ns = float64(g.word(b, m, "cycles")) / float64(khz) * 1e6 / float64(2*pairs)
			}
			b.ReportMetric(ns, "ns/call")
			b.ReportMetric(0, "ns/op")
		})
	}
}
