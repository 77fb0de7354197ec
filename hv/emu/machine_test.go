package emu

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

func TestDevices(t *testing.T) {
	var out bytes.Buffer
	code := devices(
		wide(toyLi, 0, 'H'), [4]byte{toySt, 0, 4, 0},
		wide(toyLi, 0, 'i'), [4]byte{toySt, 0, 4, 0},
		[4]byte{toyLd, 1, 4, 1}, // the clock
		[4]byte{toyLd, 2, 4, 4}, // the vCPUs
	)
	m := toy(t, Config{Console: &out, SMP: 3}, append(code, end(EndPowerOff)...)...)
	if err := m.Run(soon(t), handler{}); err != nil {
		t.Fatal(err)
	}
	r, err := m.Registers(soon(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != "Hi" || r["r1"] != 7 || r["r2"] != 3 || m.Instructions() != 10 {
		t.Errorf("console %q, clock %d, %d vCPUs, %d instructions", out.String(), r["r1"], r["r2"], m.Instructions())
	}
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		code [][4]byte
		want string // empty for good order
	}{
		{"power-off", devices(end(0)...), ""},
		{"reset", devices(end(1)...), ""},
		{"failure", devices(end(2)...), "code 2"},
		{"no instruction", [][4]byte{{0}}, "operation 0 is not implemented"},
		{"no memory", devices([4]byte{toyLd, 0, 4, 200}), "neither memory nor a device"},
		{"no device", devices([4]byte{toySt, 0, 4, 200}), "neither memory nor a device"},
		{"not aligned", devices([4]byte{toyAddi, 4, 4, 1}, [4]byte{toyLd, 0, 4, 0}), "not aligned"},
		{"no vCPU", devices(wide(toyLi, 0, 9), [4]byte{toySt, 0, 4, 5}), "vCPU 9 of 1"},
		{"waiting", [][4]byte{{toyWait}, {toyBnez, 4, 0xff}, {toyWait}}, "all vCPUs wait"},
		{"beyond the end", nil, "is not implemented"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := toy(t, Config{}, append(c.code, [4]byte{})...).Run(soon(t), handler{})
			var gone *hv.ExitError
			if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &gone) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// A program that calls a function with arguments in registers and on the
// stack: at 8 the function, which returns at 9 or at 11 what it was given or 5.
func calling() [][4]byte {
	return append(devices(
		wide(toyLi, toySP, 0x11), wide(toyLih, toySP, 0x0010), // 0x110010
		wide(toyLi, 0, 3),
		wide(toyCall, 0, 9), // +5
		wide(toyLi, 0, 0),
		wide(toyCall, 0, 9),                                           // +7
		[4]byte{toyBnez, toySP, 5},                                    // +8 to +13
		[4]byte{toyBnez, 0, 2}, [4]byte{toyLi, 0, 5}, [4]byte{toyRet}, // +9
		[4]byte{toyRet}, // +12, never
	), end(0)...)
}

func TestHooks(t *testing.T) {
	const at = toyRAM + 9*4
	type seen struct {
		kind    hv.Kind
		hook    int
		arg0    uint64
		result  uint64
		context uint64
		stack   int
		ret     uint64
	}
	var got []seen
	m := toy(t, Config{}, calling()...)
	h := handler{
		entered: func(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
			if pc != toyText || len(code) != entryCode || code[0] != toyLi {
				t.Errorf("entered at %#x with % x", uint64(pc), code)
			}
			return &hv.Plan{
				Hooks: []hv.Hook{
					{Entry: at, StackBytes: 100, Exits: []hv.ExitPoint{{Addr: at + 8}}, Array: hv.Array{When: hv.ArrayAtEntry, Pointer: 0, Count: 1}},
					{Entry: toyRAM, Exits: []hv.ExitPoint{{Addr: at + 8}, {Addr: at, If: &arch.Condition{Register: "r0", Taken: 1 << 3}}}},
				},
				Context: []hv.Fetch{{Reg: "sp", Align: 0x1000, Offset: 0, Size: 8}, {Prev: 1, Offset: 1, Size: 4}},
			}, nil
		},
		event: func(ev *hv.Event) error {
			s := seen{kind: ev.Kind, hook: ev.Hook, arg0: ev.Args[0], result: ev.Result, stack: len(ev.Stack), ret: uint64(ev.Return)}
			if len(ev.Context) > 0 {
				s.context = uint64(ev.Context[0])
			}
			if ev.Seq != uint64(len(got)) {
				t.Errorf("event %d has number %d", len(got), ev.Seq)
			}
			got = append(got, s)
			// Standing at a hook the guest can be looked at.
			if err := m.Pause(context.Background()); err != nil {
				return err
			}
			if r, err := m.Registers(context.Background(), 0); err != nil || r["r4"] != uint64(DeviceBase) && len(got) > 1 {
				t.Errorf("registers %v, %v", r, err)
			}
			return m.Resume(context.Background())
		},
	}
	if err := m.Run(soon(t), h); err != nil {
		t.Fatal(err)
	}
	want := []seen{
		{kind: hv.Entry, hook: 1}, // the first instruction of all
		{kind: hv.Entry, hook: 0, arg0: 3, stack: 100, ret: toyRAM + 6*4},
		{kind: hv.Exit, hook: 1, result: 3}, // at the same instruction, if r0 is 3
		{kind: hv.Exit, hook: -1, result: 3},
		{kind: hv.Entry, hook: 0, stack: 100, ret: toyRAM + 8*4},
		{kind: hv.Exit, hook: -1, result: 5},
	}
	if !slices.Equal(got, want) {
		t.Errorf("events\n%+v\nwant\n%+v", got, want)
	}
}

// The guest's address space, a copy of its stack up to the end, and an array
// whose length is the result.
func TestCopies(t *testing.T) {
	const at, array = toyRAM + 6*4, toyRAM + 0x800
	code := [][4]byte{
		wide(toyLi, toySP, 0x10), wide(toyLih, toySP, 0x05f0), // 0x1005f0
		wide(toyLi, 0, 0x10), wide(toyLih, 0, 0x0800), // the array
		wide(toyLi, 1, 7),
		wide(toyCall, 0, 6),
		{toySt, 1, 0, 1}, wide(toyLi, 0, 2), {toyBnez, 7, 2}, {0}, {toyWait},
	}
	var entry, exit hv.Event
	m := toy(t, Config{}, code...)
	err := m.Run(soon(t), handler{
		entered: func(guestmem.GVA, []byte) (*hv.Plan, error) {
			return &hv.Plan{Hooks: []hv.Hook{{Entry: at, StackBytes: 100, Exits: []hv.ExitPoint{{Addr: at + 8}}, Array: hv.Array{When: hv.ArrayAtExit, Pointer: 0, Count: 1}}},
				Context: []hv.Fetch{{Reg: "r0", Align: 0x1000, Offset: 0x808, Size: 8}, {Prev: 1, Size: 2}, {Offset: toyRAM, Size: 3}}}, nil
		},
		event: func(ev *hv.Event) error {
			if ev.Kind == hv.Entry {
				entry = *ev
				entry.Context = slices.Clone(ev.Context)
				return nil
			}
			exit = *ev
			exit.Array = slices.Clone(ev.Array)
			return nil
		},
	})
	if !errors.As(err, new(*hv.ExitError)) {
		t.Fatal(err)
	}
	if len(entry.Stack) != 16 || entry.SP != 0x1005f0 || entry.Args[1] != 7 {
		t.Errorf("stack of %d bytes at %#x", len(entry.Stack), uint64(entry.SP))
	}
	if want := append(make([]byte, 16), toyLi, toySP, 0x10, 0, 0, 0, 0, 0); !slices.Equal(entry.Context, want) {
		t.Errorf("context % x, want % x", entry.Context, want)
	}
	if want := append(make([]byte, 8), 7, 0, 0, 0, 0, 0, 0, 0); !slices.Equal(exit.Array, want) || exit.Result != 2 || exit.ArrayShort {
		t.Errorf("array % x, result %d", exit.Array, exit.Result)
	}
}

func TestPlansAreChecked(t *testing.T) {
	for _, p := range []*hv.Plan{
		{Context: []hv.Fetch{{Size: 17}}},
		{Context: []hv.Fetch{{Prev: 1, Size: 8}}},
		{Context: []hv.Fetch{{Reg: "r99", Size: 8}}},
		{StackSize: 3},
	} {
		err := toy(t, Config{}, [4]byte{toyWait}).Run(soon(t), handler{entered: func(guestmem.GVA, []byte) (*hv.Plan, error) { return p, nil }})
		if err == nil || errors.As(err, new(*hv.ExitError)) {
			t.Errorf("plan %+v: error %v", p, err)
		}
	}
}

// Others may pause the guest, look at it and end it while it runs.
func TestPause(t *testing.T) {
	m := toy(t, Config{Turn: 10}, [4]byte{toyAddi, 0, 0, 1}, wide(toyLi, 1, 1), [4]byte{toyBnez, 1, 0xfe})
	ctx := soon(t)
	if err := m.Interrupt(ctx, func() error { return nil }); !errors.Is(err, hv.ErrNotRunning) {
		t.Errorf("an interrupt before the run: %v", err)
	}
	if err := m.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	entered := make(chan bool)
	go func() {
		ended <- m.Run(ctx, handler{entered: func(guestmem.GVA, []byte) (*hv.Plan, error) {
			close(entered)
			return nil, nil
		}})
	}()
	before := func() uint64 {
		r, err := m.Registers(ctx, 0)
		if err != nil {
			t.Error(err)
		}
		return r["r0"]
	}
	if n := before(); n != 0 {
		t.Errorf("it ran %d times while paused", n)
	}
	if err := m.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	<-entered
	var seen []uint64
	for range 3 {
		inside, after := uint64(0), uint64(0)
		if err := m.Interrupt(ctx, func() error { inside = before(); return nil }, func() error { after = before(); return nil }); err != nil {
			t.Fatal(err)
		}
		if inside != after {
			t.Errorf("%d and %d", inside, after)
		}
		seen = append(seen, inside)
		if err := m.Pause(ctx); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, before())
		if _, present := m.Paused(); present <= 0 {
			t.Error("the pause takes no time")
		}
		if err := m.Resume(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSorted(seen) {
		t.Errorf("counts %d", seen)
	}
	late, give := context.WithCancel(ctx)
	if err := m.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	go give()
	// Nobody is left to hear of it: it is not called any more, or was before.
	called := make(chan bool, 1)
	if err := m.Interrupt(late, func() error { called <- true; return nil }); (err == nil) != (len(called) == 1) {
		t.Errorf("a late interrupt: %v, called %d times", err, len(called))
	}
	if err := m.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("wrong")
	if err := m.Interrupt(ctx, func() error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("interrupt: %v", err)
	}
	if over, present := m.Paused(); over <= 0 || present != 0 {
		t.Errorf("paused for %v and %v", over, present)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errClosing) {
		t.Errorf("run: %v", err)
	}
	if _, err := m.Registers(ctx, 0); !errors.Is(err, hv.ErrGuestGone) {
		t.Errorf("registers: %v", err)
	}
}

func TestCancel(t *testing.T) {
	m := toy(t, Config{}, wide(toyLi, 1, 1), [4]byte{toyBnez, 1, 0})
	ctx, cancel := context.WithCancel(soon(t))
	m2 := toy(t, Config{}, wide(toyLi, 1, 1), [4]byte{toyBnez, 1, 0})
	if err := m2.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	for _, m := range []*Machine{m, m2} {
		go func() { ended <- m.Run(ctx, handler{}) }()
	}
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	}
}

// The first vCPU starts the second one and ends the guest when that has
// written a word.
func TestTwoVCPUs(t *testing.T) {
	code := append(devices(
		wide(toyLi, 0, 0x10), wide(toyLih, 0, 0x0800), // +2 the word's address
		wide(toyLi, 1, 0x10), wide(toyLih, 1, 15*4),
		[4]byte{toySt, 1, 4, 6},    // +6 where the second one begins
		[4]byte{toySt, 0, 4, 7},    // and its stack pointer
		wide(toyLi, 2, 1),          // +8
		[4]byte{toySt, 2, 4, 5},    // start
		[4]byte{toyLd, 3, 0, 0},    // +10
		[4]byte{toyBnez, 3, 2},     // +11 to +13
		[4]byte{toyBnez, 2, 0xfe}), // +12 to +10
		append(end(0), // +13
			wide(toyLi, 1, 7), // +15
			[4]byte{toySt, 1, toySP, 0},
			[4]byte{toyWait}, [4]byte{toyBnez, 1, 0xff})...)
	m := toy(t, Config{SMP: 2, Turn: 3}, code...)
	if err := m.Run(soon(t), handler{}); err != nil {
		t.Fatal(err)
	}
	for vcpu, want := range []uint64{0x10_003c, 7} {
		if r, err := m.Registers(soon(t), vcpu); err != nil || r["r1"] != want {
			t.Errorf("vCPU %d has %x, %v", vcpu, r, err)
		}
	}
	if _, err := m.Registers(soon(t), 2); err == nil {
		t.Error("there is a third vCPU")
	}
}

func TestChangedCode(t *testing.T) {
	// A loop of two passes, of which the first one replaces "r2 = 1" by "r2 = 2".
	code := [][4]byte{
		wide(toyLi, 0, 0x10), wide(toyLih, 0, 0),
		wide(toyLi, 3, 2), // passes
		wide(toyLi, 2, 1), // +3
		{toyLd, 1, 0, 5},  // +4 two instructions from +10
		{toyAddi, 5, 5, 0},
		{toyAddi, 4, 0, 12},
		{toySt4, 1, 4, 0}, // +7 to +3
		{toyAddi, 3, 3, 0xff},
		{toyBnez, 3, 0xfa}, // +9 to +3
		wide(toyLi, 2, 2),  // +10
		{toyWait},
	}
	m := toy(t, Config{}, code...)
	_ = m.Run(soon(t), handler{})
	r, err := m.Registers(soon(t), 0)
	if err != nil || r["r2"] != 2 || r["r3"] != 0 {
		t.Errorf("registers %v, %v", r, err)
	}
}

func TestTranslation(t *testing.T) {
	// The jump is to one page higher, which is the same memory.
	code := [][4]byte{
		wide(toyLi, 0, 0x10), wide(toyLih, 0, 0x1000+32), {toyMap}, {toyLd, 1, 0, 0}, wide(toyLi, 2, 9), {toySt, 2, 0, 1}, {toyWait}, {0}, {1, 2, 3, 4}, {5, 6, 7, 8},
	}
	m := toy(t, Config{}, code...)
	_ = m.Run(soon(t), handler{})
	r, err := m.Registers(soon(t), 0)
	if err != nil || r["r1"] != 0x08070605_04030201 || r["pc"] != toyRAM+pageSize+7*4 {
		t.Errorf("registers %x, %v", r, err)
	}
	if b, err := m.Memory().ViewPhys(toyRAM+40, 8); err != nil || b[0] != 9 {
		t.Errorf("memory % x, %v", b, err)
	}
}

func TestBadConfig(t *testing.T) {
	good := image(asm([4]byte{toyWait}))
	for name, c := range map[string]Config{
		"vCPUs":      {SMP: 65},
		"memory":     {Memory: 1 << 41},
		"no room":    {Memory: uint64(DeviceBase)},
		"no ELF":     {Kernel: strings.NewReader("no kernel")},
		"turn":       {Turn: -1},
		"cut":        {Kernel: bytes.NewReader(good[:len(good)-1])},
		"other CPU":  {Kernel: bytes.NewReader(append(append(slices.Clone(good[:18]), 62, 0), good[20:]...))},
		"elsewhere":  {Kernel: bytes.NewReader(append(append(slices.Clone(good[:88]), 0, 0, 0, 0), good[92:]...))},
		"no segment": {Kernel: bytes.NewReader(append(append(slices.Clone(good[:56]), 0, 0), good[58:]...))},
	} {
		if c.Kernel == nil {
			c.Kernel = bytes.NewReader(good)
		}
		if _, err := New(toyISA(), &c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzRun runs any program for a while, as any ELF file.
func FuzzRun(f *testing.F) {
	f.Add(image(asm(calling()...)))
	f.Add(image(asm(devices(end(0)...)...)))
	f.Fuzz(func(t *testing.T, kernel []byte) {
		m, err := New(toyISA(), &Config{Kernel: bytes.NewReader(kernel), Memory: 1 << 20, SMP: 2, Turn: 50})
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		turns := 0
		_ = m.Run(ctx, handler{
			entered: func(pc guestmem.GVA, _ []byte) (*hv.Plan, error) {
				return &hv.Plan{Hooks: []hv.Hook{{Entry: pc, StackBytes: 1 << 20, Exits: []hv.ExitPoint{{Addr: pc + 8}}, Array: hv.Array{When: hv.ArrayAtEntry}}}, Context: []hv.Fetch{{Reg: "sp", Size: 16}}}, nil
			},
			event: func(*hv.Event) error {
				if turns++; turns > 100 {
					return errors.New("enough")
				}
				return nil
			},
		})
	})
}
