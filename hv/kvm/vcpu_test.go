//go:build linux && amd64

package kvm

import (
	"context"
	"errors"
	"testing"
	"time"

	gokvm "github.com/bobuhiro11/gokvm/kvm"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// startSecondary lets vCPU 1 begin in 64-bit mode, as no processor does: a
// KVM that emulates ring 0 need not know real mode.
func startSecondary(t testing.TB, g *guest, m *Machine) {
	t.Helper()
	v := m.vm.vcpus[1]
	if err := v.begin(&start{rip: uint64(g.gva(t, "secondary")) - 0xffffffff80000000, long: true}); err != nil {
		t.Fatal(err)
	}
	if err := gokvm.SetMPState(v.fd, &gokvm.MPState{State: gokvm.MPStateRunnable}); err != nil {
		t.Fatal(err)
	}
}

// atCheckpoint runs the guest to its checkpoint with a command and calls f
// while the vCPU is held there.
func atCheckpoint(t *testing.T, g *guest, m *Machine, f func(ev *hv.Event)) {
	t.Helper()
	calls := 0
	h := &script{plan: &hv.Plan{Hooks: []hv.Hook{{Name: "checkpoint", Entry: g.gva(t, "checkpoint"), Sync: true}}}}
	h.event = func(ev *hv.Event) error {
		calls++
		if err := m.Pause(t.Context()); err != nil {
			return err
		}
		f(ev)
		return m.Resume(t.Context())
	}
	if err := run(t, m, h); err != nil {
		t.Fatal(err)
	}
	if calls == 0 {
		t.Error("the checkpoint was not passed")
	}
}

func TestRegistersAtHold(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "", nil)
	atCheckpoint(t, g, m, func(ev *hv.Event) {
		if ev.Args != [6]uint64{0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666} {
			t.Errorf("arguments %#x", ev.Args)
		}
		regs, err := m.Registers(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]uint64{
			"rdi": 0x1111, "rsi": 0x2222, "rdx": 0x3333, "rcx": 0x4444, "r8": 0x5555, "r9": 0x6666,
			"rip": uint64(ev.PC), "rsp": uint64(ev.SP), "cr3": uint64(g.gva(t, "init_top_pgt")) - 0xffffffff80000000,
		} {
			if regs[name] != want {
				t.Errorf("%s is %#x, not %#x", name, regs[name], want)
			}
		}
		for _, r := range m.Arch().Regs {
			if _, ok := regs[r.Name]; !ok {
				t.Errorf("register %s is missing", r.Name)
			}
		}
	})
}

// TestPageWalk compares the page-table walker with KVM's.
func TestPageWalk(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "", nil)
	atCheckpoint(t, g, m, func(*hv.Event) {
		space := g.reader(t, m).Memory.(*guestmem.AddressSpace)
		mapped, unmapped := 0, 0
		check := func(gva guestmem.GVA) {
			t.Helper()
			tr := gokvm.Translation{LinearAddress: uint64(gva)}
			if err := gokvm.Translate(m.vm.vcpus[0].fd, &tr); err != nil {
				t.Fatalf("%#x: %v", uint64(gva), err)
			}
			gpa, _, err := space.Translate(gva)
			if (err == nil) != (tr.Valid != 0) || err == nil && uint64(gpa) != tr.PhysicalAddress {
				t.Errorf("%#x: the walker says %#x (%v), KVM %#x (valid %d)", uint64(gva), uint64(gpa), err, tr.PhysicalAddress, tr.Valid)
			}
			if err == nil {
				mapped++
			} else {
				unmapped++
			}
		}
		for i := range guestmem.GVA(600) {
			check(0xffffffffc0000000 + i*4096 + i) // single pages, then nothing
		}
		for i := range guestmem.GVA(64) {
			check(0xffffffff80000000 + i<<20 + 123) // large pages
			check(i<<20 + 7)                        // identity
			check(0xffff888000000000 + i<<30)       // nothing
			check(0xffffffff84000000 + i<<21)       // nothing
		}
		if mapped < 600 || unmapped < 100 {
			t.Errorf("only %d mapped and %d unmapped addresses were compared", mapped, unmapped)
		}
	})
}

func TestDirtyLog(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "d", nil)
	calls := 0
	atCheckpoint(t, g, m, func(*hv.Event) {
		calls++
		if calls == 1 {
			if err := m.vm.logDirty(true); err != nil {
				t.Fatal(err)
			}
			return
		}
		pages, err := m.vm.dirtyPages()
		if err != nil {
			t.Fatal(err)
		}
		dirty := map[guestmem.GPA]bool{}
		for _, p := range pages {
			dirty[p] = true
		}
		scratch := guestmem.GPA(g.gva(t, "scratch") - 0xffffffff80000000)
		for i := range guestmem.GPA(20) {
			if dirty[scratch+i*4096] != (i%2 == 1) {
				t.Errorf("page %d of the scratch area: dirty is %v", i, dirty[scratch+i*4096])
			}
		}
	})
	if calls != 2 {
		t.Errorf("%d checkpoints", calls)
	}
}

// TestPauseRunning pauses a guest that runs without an exit, from outside.
func TestPauseRunning(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "s", nil)
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	entered := make(chan struct{})
	h := &script{plan: &hv.Plan{Hooks: []hv.Hook{{Entry: g.gva(t, "spin")}}}}
	h.event = func(*hv.Event) error { close(entered); return nil }
	ran := make(chan error, 1)
	go func() { ran <- m.Run(ctx, h) }()
	<-entered
	before := uint64(0)
	for range 20 {
		if err := m.Pause(ctx); err != nil {
			t.Fatal(err)
		}
		ticks := g.word(t, m, "ticks")
		regs, err := m.Registers(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		spin := g.symbols["spin"]
		if rip := regs["rip"]; rip < spin.Value || rip >= spin.Value+spin.Size {
			t.Errorf("rip %#x is outside spin", rip)
		}
		time.Sleep(2 * time.Millisecond)
		if now := g.word(t, m, "ticks"); now != ticks {
			t.Errorf("the paused guest went on from %d to %d", ticks, now)
		}
		if ticks < before {
			t.Errorf("ticks went from %d to %d", before, ticks)
		}
		before = ticks
		if err := m.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if before == 0 {
		t.Error("the guest never ran")
	}
	called := false
	if err := m.Interrupt(ctx, func() error {
		called = true
		return writeSpace(g.reader(t, m).Memory.(*guestmem.AddressSpace), m.vm.ram, uint64(g.gva(t, "go_on")), []byte{1})
	}); err != nil || !called {
		t.Errorf("interrupt: called %v, %v", called, err)
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if err := m.Interrupt(ctx, func() error { return nil }); !errors.Is(err, hv.ErrNotRunning) {
		t.Errorf("interrupt after the run: %v", err)
	}
}

// TestCancel ends a run from outside: the guest stands still and can be read.
func TestCancel(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "s", nil)
	ctx, cancel := context.WithCancel(t.Context())
	h := &script{plan: &hv.Plan{Hooks: []hv.Hook{{Entry: g.gva(t, "spin")}}}}
	h.event = func(*hv.Event) error { cancel(); return nil }
	if err := m.Run(ctx, h); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if _, err := m.Registers(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if err := m.Run(t.Context(), h); err == nil {
		t.Error("Run could be called twice")
	}
}

func TestHandlerError(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	boom := errors.New("boom")
	for _, sync := range []bool{false, true} {
		m := g.boot(t, caps, "c", nil)
		h := &script{plan: &hv.Plan{Hooks: []hv.Hook{{Entry: g.gva(t, "__kmalloc"), Sync: sync}}}}
		h.event = func(*hv.Event) error { return boom }
		if err := run(t, m, h); !errors.Is(err, boom) {
			t.Errorf("sync %v: error %v", sync, err)
		}
	}
}

func TestBulkArrays(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "k", nil)
	alloc, free := g.hook(t, "kmem_cache_alloc_bulk"), g.hook(t, "kmem_cache_free_bulk")
	alloc.Array = hv.Array{When: hv.ArrayAtExit, Pointer: 3, Count: 2}
	free.Array, free.Exits = hv.Array{When: hv.ArrayAtEntry, Pointer: 2, Count: 1}, nil
	var got, freed []byte
	h := &script{plan: &hv.Plan{Hooks: []hv.Hook{alloc, free}}}
	h.event = func(ev *hv.Event) error {
		if ev.ArrayShort {
			t.Error("array is short")
		}
		switch {
		case ev.Kind == hv.Exit && ev.Hook == 0:
			got = append([]byte{}, ev.Array...)
		case ev.Kind == hv.Entry && ev.Hook == 1:
			freed = append([]byte{}, ev.Array...)
		}
		return nil
	}
	if err := run(t, m, h); err != nil {
		t.Fatal(err)
	}
	if len(got) != 8*8 || le64(got) == 0 || string(freed) != string(got[:24]) {
		t.Errorf("allocated % x, freed % x", got, freed)
	}
}
