//go:build linux && amd64

package kvm

import (
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// TestPatcher lets the guest rewrite the text that is hooked, with the tracer
// told of it: the guest finds its own text, and nothing is missed.
func TestPatcher(t *testing.T) {
	caps := needKVM(t)
	if !caps.ExecBreakpoints {
		t.Skip("needs execution breakpoints")
	}
	g := buildGuest(t)
	for _, hook := range []string{HookTrap, HookRing} {
		m := g.boot(t, caps, "a", func(c *Config) { c.Hook = hook })
		cc := newCallChecker(t, 2)
		h := &script{plan: &hv.Plan{
			Hooks:    []hv.Hook{g.hook(t, "__kmalloc"), g.hook(t, "kfree")},
			Patchers: []guestmem.GVA{g.gva(t, "patch_returns")},
		}}
		h.event = cc.event
		if err := run(t, m, h); err != nil {
			t.Fatal(err)
		}
		if n := g.word(t, m, "patched"); n == 0 {
			t.Errorf("%s: the guest did not find what it wanted to patch", hook)
		}
		if n := g.word(t, m, "surprises"); n != 0 {
			t.Errorf("%s: the guest saw %d hooks in its text", hook, n)
		}
		if cc.entries[0] != 200 || cc.exits != cc.entries[0]+cc.entries[1] || len(cc.open) != 0 || m.Lost() != 0 {
			t.Errorf("%s: entries %v, exits %d, open %d, lost %d", hook, cc.entries, cc.exits, len(cc.open), m.Lost())
		}
	}
}

// TestOverwritten lets something overwrite hooks behind the tracer's back:
// that is noticed, counted, and mended.
func TestOverwritten(t *testing.T) {
	caps := needKVM(t)
	if len(caps.Trap.code()) == 0 {
		t.Skip("needs traps in the guest's text")
	}
	g := buildGuest(t)
	for _, hook := range []string{HookTrap, HookRing} {
		m := g.boot(t, caps, "a", func(c *Config) { c.Hook = hook })
		free := g.hook(t, "kfree")
		after, exits := 0, 0
		h := &script{plan: &hv.Plan{Hooks: []hv.Hook{free, {Name: "checkpoint", Entry: g.gva(t, "checkpoint"), Sync: true}}}}
		h.event = func(ev *hv.Event) error {
			switch {
			case ev.Kind == hv.Exit:
				exits++
			case ev.Hook == 0:
				after++
			case after > 0 && exits > 0 && m.Lost() == 0 && ev.Args[0] == 0:
				after, exits = 0, 0
				return overwrite(t, g, m, free)
			}
			return nil
		}
		if err := run(t, m, h); err != nil {
			t.Fatal(err)
		}
		if want := uint64(len(free.Exits) + 1); m.Lost() != want {
			t.Errorf("%s: lost %d, want %d", hook, m.Lost(), want)
		}
		if after == 0 || exits != after {
			t.Errorf("%s: after it was mended: %d entries, %d exits", hook, after, exits)
		}
	}
}

// overwrite puts other code where the hooks of f are, and waits until that is
// noticed.
func overwrite(t *testing.T, g *guest, m *Machine, f hv.Hook) error {
	space := g.reader(t, m).Memory.(*guestmem.AddressSpace)
	if err := writeSpace(space, m.vm.ram, uint64(f.Entry), []byte{0x66, 0x0f, 0x1f, 0x04, 0x00}); err != nil { // another nop
		return err
	}
	for _, x := range f.Exits {
		if err := writeSpace(space, m.vm.ram, uint64(x.Addr), []byte{0xc3, 0xcc, 0xcc, 0xcc, 0xcc}); err != nil {
			return err
		}
	}
	if err := m.verify(t.Context()); err != nil {
		return err
	}
	for end := time.Now().Add(runLimit); m.Lost() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was noticed")
		}
	}
	return nil
}

// TestStepped hooks instructions that the tracer does not perform itself, one
// of which takes the trap flag away: nothing behind them may be missed.
func TestStepped(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	for _, noSync := range []bool{false, true} {
		for _, hook := range []string{HookTrap, HookRing} {
			m, err := startWith(Config{Kernel: g.path, Append: "f", MemoryBytes: 64 << 20, Hook: hook}, caps, noSync)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			var entries, exits [3]int
			h := &script{plan: &hv.Plan{Hooks: append(g.allocators(t), g.hook(t, "flags_twice"))}}
			h.event = func(ev *hv.Event) error {
				if ev.Kind == hv.Entry {
					entries[ev.Hook]++
				} else {
					exits[ev.Hook]++
				}
				return nil
			}
			if err := run(t, m, h); err != nil {
				t.Fatal(err)
			}
			if want := [3]int{20, 20, 20}; entries != want || exits != want || m.Lost() != 0 {
				t.Errorf("%s: entries %v, exits %v, lost %d", hook, entries, exits, m.Lost())
			}
		}
	}
}
