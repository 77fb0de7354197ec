package qemu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/sparc"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

const (
	sparcROM     = 0x1ff_f000_0000 // where QEMU has the firmware, and the CPU starts 0x20 behind
	sparcWindows = 8
	sparcDepth   = 7         // windows that can be in use without one being written
	sparcStack   = 0x50_3000 // untranslated
	sparcFrame   = 0x100
)

// sparcValue is what a register is given, by its window: the number of the
// program's round, of the call in it, and of the register.
func sparcValue(round, depth int, reg uint32) uint64 {
	if reg == 14 { // o6
		return uint64(sparcStack - depth*sparcFrame - 2047)
	}
	return uint64(round)<<24 | uint64(depth)<<16 | uint64(reg)<<8 | 0xa5
}

// sparcROMImage writes firmware that calls as deep as there are windows, once
// for each window to begin with, and passes a hook at each depth.
func sparcROMImage(t *testing.T) (path string, hooks []guestmem.GVA) {
	code := make([]uint32, 8) // up to where the CPU starts
	set := func(reg uint32, v uint64) {
		code = append(code,
			reg<<25|4<<22|uint32(v)>>10,                       // sethi
			2<<30|reg<<25|2<<19|reg<<14|1<<13|uint32(v)&0x3ff) // or
	}
	wrpr := func(reg, v uint32) { code = append(code, 2<<30|reg<<25|0x32<<19|1<<13|v) }
	const tstate, tl, cwp, cansave, canrestore, cleanwin, otherwin = 2, 7, 9, 10, 11, 12, 13
	wrpr(tl, 0)
	for round := range sparcWindows {
		wrpr(cwp, uint32(round))
		wrpr(cansave, sparcWindows-2)
		wrpr(canrestore, 0)
		wrpr(cleanwin, sparcWindows-1)
		wrpr(otherwin, 0)
		for i := range uint32(8) {
			set(24+i, sparcValue(round, -1&0xff, 8+i))
		}
		for depth := range sparcDepth {
			if depth > 0 {
				code = append(code, 0x81e0_0000) // save
			}
			for reg := uint32(8); reg < 24; reg++ {
				set(reg, sparcValue(round, depth, reg))
			}
			hooks = append(hooks, sparcROM+4*guestmem.GVA(len(code)))
			// nop; bne to the next but one, and the same otherwise; nop: a block,
			// which a pause lets run to its end
			code = append(code, 0x0100_0000, 0x1280_0002, 0x0100_0000)
		}
	}
	// As in a trap for a window, which has another one.
	wrpr(tl, 1)
	wrpr(tstate, (sparcWindows-1+sparcDepth-1)%sparcWindows)
	wrpr(cwp, 1)
	hooks = append(hooks, sparcROM+4*guestmem.GVA(len(code)))
	code = append(code, 0x1080_0000, 0x0100_0000) // ba to itself; nop
	b, err := binary.Append(nil, binary.BigEndian, code)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "rom.bin")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, hooks
}

// startWindows starts a machine with that firmware, for which it is the kernel.
func startWindows(t *testing.T) (m *Machine, hooks []guestmem.GVA) {
	t.Helper()
	a := sparc.SPARC64()
	if _, err := exec.LookPath(a.QEMU.Binary); err != nil {
		t.Skipf("missing on this host: %s", a.QEMU.Binary)
	}
	a.Linux.Text, a.Linux.TextEnd, a.Linux.UserMode = sparcROM, 0, arch.RegisterMatch{}
	rom, hooks := sparcROMImage(t)
	return start(t, Config{Arch: a, Kernel: rom, MemoryBytes: 64 << 20, CacheDir: testCache(t), Extra: []string{"-bios", rom}}), hooks
}

// A return that restores a window, with a result of two registers.
func TestExitOfWindow(t *testing.T) {
	m, hooks := startWindows(t)
	sum := &arch.Sum{Register: "o1", With: "l2", Add: 5, Signed: 8}
	plan := &hv.Plan{StackSize: 16 << 10, Hooks: []hv.Hook{{
		Name: "called", Entry: hooks[0], Exits: []hv.ExitPoint{{Addr: hooks[1], SP: "i6", Result: sum}},
	}}}
	done := errors.New("seen")
	h := &handler{plan: planOf(plan), event: func(ev *hv.Event) error {
		if ev.SP != sparcStack {
			t.Errorf("event %d: the stack pointer is %#x", ev.Kind, ev.SP)
		}
		if ev.Kind == hv.Entry {
			if want := sparcValue(0, 0, 9); ev.Args[1] != want || ev.Return != guestmem.GVA(sparcValue(0, 0, 15)) {
				t.Errorf("argument %#x, return address %#x", ev.Args[1], ev.Return)
			}
			return nil
		}
		low := int8(sparcValue(0, 1, 9) & 0xff)
		if want := uint64(int64(low)) + sparcValue(0, 1, 18) + 5; ev.Result != want {
			t.Errorf("result %#x, want %#x", ev.Result, want)
		}
		return done
	}}
	if err := m.Run(limited(t), h); !errors.Is(err, done) {
		t.Fatal(err)
	}
}

// TestWindows: an event's stack, and a pause, have what QEMU has in windows,
// whichever is the present one.
func TestWindows(t *testing.T) {
	m, hooks := startWindows(t)
	plan := &hv.Plan{StackSize: 16 << 10}
	for i, at := range hooks {
		plan.Hooks = append(plan.Hooks, hv.Hook{Name: fmt.Sprint("hook ", i), Entry: at, StackBytes: sparcDepth * sparcFrame, Sync: true})
	}
	done := errors.New("seen")
	events := 0
	var want map[guestmem.GVA][]byte
	h := &handler{plan: planOf(plan), event: func(ev *hv.Event) error {
		if events == len(hooks)-1 {
			compareWindows(t, m, want, true)
			return done
		}
		round, depth := events/sparcDepth, events%sparcDepth
		events++
		if ev.Hook != events-1 {
			t.Fatalf("event %d is of hook %d", events-1, ev.Hook)
		}
		// What the frames of the present window and its callers' are to have.
		want = map[guestmem.GVA][]byte{}
		for d := range depth + 1 {
			var b []byte
			for reg := uint32(16); reg < 24; reg++ {
				b = binary.BigEndian.AppendUint64(b, sparcValue(round, d, reg))
			}
			for i := range uint32(8) {
				b = binary.BigEndian.AppendUint64(b, sparcValue(round, (d-1)&0xff, 8+i))
			}
			want[guestmem.GVA(sparcValue(round, d, 14)+2047)] = b
		}
		if sp := guestmem.GVA(sparcStack - depth*sparcFrame); ev.SP != sp {
			t.Errorf("round %d, depth %d: the stack pointer is %#x, want %#x", round, depth, ev.SP, sp)
		}
		for at, b := range want {
			if off := int(at - ev.SP); off+len(b) > len(ev.Stack) || string(ev.Stack[off:off+len(b)]) != string(b) {
				t.Errorf("round %d, depth %d: the stack copied does not have the window at %#x", round, depth, at)
			}
		}
		if depth%3 == 0 { // a pause takes its time
			compareWindows(t, m, want, false)
		}
		return nil
	}}
	if err := m.Run(limited(t), h); !errors.Is(err, done) {
		t.Fatal(err)
	}
}

// compareWindows compares what a pause tells of the windows, and the gdb stub
// of the present one's registers if that is no trap's.
func compareWindows(t *testing.T, m *Machine, want map[guestmem.GVA][]byte, trap bool) {
	t.Helper()
	ctx := context.Background()
	if err := m.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Resume(ctx); err != nil {
			t.Fatal(err)
		}
	}()
	hidden, err := m.Hidden(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := hidden.Frames
	if len(got) != len(want) {
		t.Errorf("%d windows, want %d", len(got), len(want))
	}
	have := map[guestmem.GVA]string{}
	for _, u := range got {
		have[u.Addr] = string(u.Bytes)
	}
	for at, b := range want {
		if have[at] != string(b) {
			t.Errorf("the window at %#x is % x, want % x", at, have[at], b)
		}
	}
	if trap { // the registers are another window's
		for i := range uint32(8) {
			if v := sparcValue(sparcWindows-1, sparcDepth-1, 8+i); !slices.Contains(hidden.Words, v) {
				t.Errorf("o%d, which is %#x, is not among %#x", i, v, hidden.Words)
			}
		}
		return
	}
	regs, err := m.Registers(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if sp := guestmem.GVA(regs["o6"] + 2047); sp != got[0].Addr {
		t.Errorf("the gdb stub has the stack pointer at %#x, the present window is at %#x", sp, got[0].Addr)
	}
	for i := range 8 {
		if v := binary.BigEndian.Uint64(got[0].Bytes[8*i:]); regs[fmt.Sprint("l", i)] != v {
			t.Errorf("l%d: the gdb stub has %#x, the window %#x", i, regs[fmt.Sprint("l", i)], v)
		}
	}
	if pc := regs["pc"]; pc < sparcROM || pc > sparcROM+1<<20 {
		t.Errorf("the program counter is %#x", pc)
	}
	text, err := m.qmp.monitor(ctx, "info registers")
	if err != nil {
		t.Fatal(err)
	}
	printed := regexp.MustCompile(`canrestore: (\d+)`).FindStringSubmatch(text)
	if printed == nil || printed[1] != fmt.Sprint(len(got)-1) {
		t.Errorf("QEMU prints %q callers, %d windows were told", printed, len(got))
	}
	for i, line := range []string{"l0-3", "l4-7", "i0-3", "i4-7"} {
		words := regexp.MustCompile(`%` + line + `: (\w+) (\w+) (\w+) (\w+)`).FindStringSubmatch(text)
		if words == nil {
			t.Fatalf("QEMU does not print %s:\n%s", line, text)
		}
		for j, word := range words[1:] {
			v, err := strconv.ParseUint(word, 16, 64)
			if told := binary.BigEndian.Uint64(got[0].Bytes[32*i+8*j:]); err != nil || v != told {
				t.Errorf("%s: QEMU prints %s, told was %#x", line, word, told)
			}
		}
	}
}
