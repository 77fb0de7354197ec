package symbols

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
)

const (
	testSlide  = 0x1400_0000
	testText   = 0xffff_ffff_8100_0000
	testModule = 0xffff_ffff_c012_3000
	testSP     = 0xffff_c900_0001_3e50
)

// testRules cover each way to find the caller's frame; code comes in pieces
// of 0x100 bytes from testText.
var testRules = []orcRule{
	{testText + 0x000, orcRow{kind: orcCall, spReg: orcRegSP, spOffset: 8}}, // first instruction
	{testText + 0x004, orcRow{kind: orcCall, spReg: orcRegSP, spOffset: 24, bpReg: orcRegPrevSP, bpOffset: -16}},
	{testText + 0x100, orcRow{kind: orcCall, spReg: orcRegSP, spOffset: 32, bpReg: orcRegPrevSP, bpOffset: -16}},
	{testText + 0x200, orcRow{kind: orcCall, spReg: orcRegBP, spOffset: 16, bpReg: orcRegPrevSP, bpOffset: -16}},
	{testText + 0x300, orcRow{kind: orcCall, spReg: orcRegBPIndirect, spOffset: -8, bpReg: orcRegBP}},
	{testText + 0x400, orcRow{kind: orcCall, spReg: orcRegSPIndirect, spOffset: 8}},
	{testText + 0x500, orcRow{kind: orcRegs, spReg: orcRegSP}},
	{testText + 0x600, orcRow{kind: orcRegsPartial, spReg: orcRegSP}},
	{testText + 0x700, orcRow{kind: orcCall, spReg: orcRegR10}},
	{testText + 0x800, orcRow{kind: orcEndOfStack}},
	{testText + 0x900, orcRow{kind: orcUndefined}},
	{testText + 0xa00, orcRow{kind: orcCall, spReg: 15}},
	{testText + 0xb00, orcRow{kind: 7, spReg: orcRegSP}},
	{testText + 0xc00, orcRow{kind: orcCall, spReg: orcRegSP, bpReg: 15}},
}

// testUnwinder makes an unwinder of testRules for a kernel with a slide and a
// module whose functions have frames of 16 bytes.
func testUnwinder(t testing.TB) *unwinder {
	t.Helper()
	im := open(t, "amd64.elf")
	s := NewSpace(im, testSlide)
	if s.orcErr != nil {
		t.Fatal(s.orcErr)
	}
	ip, entries := makeORC(testRules, testText+0x10000)
	table, err := newORCTable(s.orc, ip, entries, testText+0x10000)
	if err != nil {
		t.Fatal(err)
	}
	regs, err := im.ptRegs()
	if err != nil {
		t.Fatal(err)
	}
	ip, entries = makeORC([]orcRule{{testModule, orcRow{kind: orcCall, spReg: orcRegSP, spOffset: 16}}}, testModule+0x800)
	err = s.AddModule(Module{
		Name:   "mod",
		Ranges: []guestmem.Range[guestmem.GVA]{{Start: testModule, End: testModule + 0x1000}},
		ORCIP:  ip, ORC: entries, ORCIPAddr: testModule + 0x800,
	}, 10)
	if err != nil {
		t.Fatal(err)
	}
	return &unwinder{im.arch, "ORC", &orcUnwinder{space: s, table: table, regs: regs, last: testText + 0x1000, rows: make([]orcSlot, orcSlots)}}
}

// stackBuilder lays out a stack from its lowest address up.
type stackBuilder struct{ b []byte }

func (s *stackBuilder) at() uint64 { return testSP + uint64(len(s.b)) }

func (s *stackBuilder) push(words ...uint64) {
	for _, w := range words {
		s.b = binary.LittleEndian.AppendUint64(s.b, w)
	}
}

// regs pushes a struct pt_regs of x86-64.
func (s *stackBuilder) regs(ip, cs, sp, bp, r10 uint64) {
	s.push(0, 0, 0, 0, bp, 0, 0, r10, 0, 0, 0, 0, 0, 0, 0, 0, ip, cs, 0x246, sp, 0x18)
}

func code(off uint64) uint64 { return testText + testSlide + off }

func TestUnwindORC(t *testing.T) {
	u := testUnwinder(t)
	var s stackBuilder
	s.push(code(0x110))                    // +0x00, of 0x000: its caller
	s.push(1, 1, testSP+0x60, code(0x210)) // +0x08, of 0x110: 32 bytes, saved bp, caller
	s.push(7, 7, 7, 7, 7, 7, 7)            // +0x28, of 0x210: what is below its bp
	s.push(testSP+0x90, testModule+0x20)   // +0x60: saved bp, return address
	s.push(9, code(0x310))                 // module: 16 bytes of frame
	s.push(7)                              // +0x80
	s.push(testSP + 0xa8)                  // +0x88 = bp-8 of 0x310: its caller's sp
	s.push(0x1234)                         // +0x90: saved bp
	s.push(7)
	s.push(code(0x410))   // +0xa0: return address of 0x310
	s.push(testSP + 0xb8) // +0xa8: where 0x410's stack goes on, less 8
	s.push(7)
	s.push(code(0x510)) // +0xb8: its return address
	s.regs(code(0x610), 0x10, testSP+0xc0+168, 5, testSP+0x400)
	// Only what the CPU pushes, for 0x610: ip, cs, flags, sp, ss.
	s.push(code(0x710), 0x10, 0x246, testSP+0xc0+168+40, 0x18)
	// r10 of the full registers before leads 0x710 on.
	for s.at() < testSP+0x3f8 {
		s.push(7)
	}
	s.push(code(0x810))
	want := []guestmem.GVA{
		guestmem.GVA(code(0x110)), guestmem.GVA(code(0x210)), testModule + 0x20, guestmem.GVA(code(0x310)),
		guestmem.GVA(code(0x410)), guestmem.GVA(code(0x510)), guestmem.GVA(code(0x610)), guestmem.GVA(code(0x710)),
		guestmem.GVA(code(0x810)),
	}
	var out [16]guestmem.GVA
	n, complete := u.Unwind(10, guestmem.GVA(code(0)), testSP, 0x77, s.b, out[:])
	if !slices.Equal(out[:n], want) || !complete {
		t.Fatalf("Unwind = %#x, complete %v\nwant %#x", out[:n], complete, want)
	}
	// With less room it is cut, and that is all right.
	for room := range want {
		n, complete := u.Unwind(10, guestmem.GVA(code(0)), testSP, 0x77, s.b, out[:room])
		if !slices.Equal(out[:n], want[:room]) || !complete {
			t.Errorf("room for %d: %#x, complete %v", room, out[:n], complete)
		}
	}
	// With fewer bytes it is cut, and says so.
	for size := range s.b {
		n, complete := u.Unwind(10, guestmem.GVA(code(0)), testSP, 0x77, s.b[:size], out[:])
		if complete || n >= len(want) || !slices.Equal(out[:n], want[:n]) {
			t.Errorf("%d bytes: %#x, complete %v", size, out[:n], complete)
		}
	}
	// Before the module is loaded, its address has no rule but the guess that
	// there is a frame pointer, which finds nothing here.
	if n, complete := u.Unwind(9, guestmem.GVA(code(0)), testSP, 0x77, s.b, out[:]); n > 4 || complete {
		t.Errorf("without the module: %#x, complete %v", out[:n], complete)
	}
}

func TestUnwindORCEnds(t *testing.T) {
	u := testUnwinder(t)
	for _, c := range []struct {
		name     string
		words    []uint64
		want     int
		complete bool
	}{
		{"end of a kernel thread", []uint64{code(0x810)}, 1, true},
		{"no rule", []uint64{code(0x910)}, 1, false},
		{"unknown base", []uint64{code(0xa10)}, 1, false},
		{"unknown kind", []uint64{code(0xb10)}, 1, false},
		{"unknown frame pointer rule", []uint64{code(0xc10), 1, 2}, 1, false},
		{"user address", []uint64{0x5555_0000_1234}, 0, false},
		{"zero", []uint64{0}, 0, false},
		{"nothing", nil, 0, false},
		{"registers not saved", []uint64{code(0x710)}, 1, false},
	} {
		var s stackBuilder
		s.push(c.words...)
		var out [16]guestmem.GVA
		n, complete := u.Unwind(10, guestmem.GVA(code(0)), testSP, testSP, s.b, out[:])
		if n != c.want || complete != c.complete {
			t.Errorf("%s: %#x, complete %v; want %d addresses, %v", c.name, out[:n], complete, c.want, c.complete)
		}
	}
	// A system call: the registers below the return address are user mode's.
	var s stackBuilder
	s.push(code(0x510))
	s.regs(0x5555_0000_1234, 0x33, 0x7fff_0000_0000, 0, 0)
	var out [16]guestmem.GVA
	if n, complete := u.Unwind(10, guestmem.GVA(code(0)), testSP, 0, s.b, out[:]); n != 1 || !complete {
		t.Errorf("system call: %#x, complete %v", out[:n], complete)
	}
	// Registers that lead back down are a loop.
	s = stackBuilder{}
	s.push(code(0x510))
	s.regs(code(0x510), 0x10, testSP, 0, 0)
	if n, complete := u.Unwind(10, guestmem.GVA(code(0)), testSP, 0, s.b, out[:]); n != 1 || complete {
		t.Errorf("loop: %#x, complete %v", out[:n], complete)
	}
	// Generated code has a frame pointer, but that is a guess.
	s = stackBuilder{}
	s.push(0xffff_ffff_c0ff_0010, 7, 0, code(0x810))
	if n, complete := u.Unwind(10, guestmem.GVA(code(0)), testSP, testSP+16, s.b, out[:]); n != 2 || complete {
		t.Errorf("generated code: %#x, complete %v", out[:n], complete)
	}
}

// TestUnwindReturn starts at a return address, as on machines with a link
// register: the rule is that of the call before it.
func TestUnwindReturn(t *testing.T) {
	u := testUnwinder(t)
	link := *x86.AMD64()
	link.Call.Link = "x30"
	u.arch = &link
	var s stackBuilder
	s.push(1, testSP, code(0x810))
	var out [4]guestmem.GVA
	// At 0x100 ends the piece from 0x004, whose frame is 24 bytes.
	if n, complete := u.Unwind(10, guestmem.GVA(code(0x100)), testSP, 0, s.b, out[:]); n != 1 || !complete || out[0] != guestmem.GVA(code(0x810)) {
		t.Errorf("Unwind = %#x, complete %v", out[:n], complete)
	}
}

func TestUnwindFramePointers(t *testing.T) {
	im := open(t, "amd64.elf")
	u := &unwinder{im.arch, "frame pointers", newFrameWalker(NewSpace(im, testSlide))}
	var s stackBuilder
	s.push(code(0x10), 7)
	s.push(testSP+0x30, code(0x20)) // +0x10
	s.push(7, 7)
	s.push(0, code(0x30)) // +0x30
	want := []guestmem.GVA{guestmem.GVA(code(0x10)), guestmem.GVA(code(0x20)), guestmem.GVA(code(0x30))}
	var out [8]guestmem.GVA
	n, complete := u.Unwind(0, guestmem.GVA(code(0)), testSP, testSP+0x10, s.b, out[:])
	if !slices.Equal(out[:n], want) || !complete {
		t.Errorf("Unwind = %#x, complete %v", out[:n], complete)
	}
	for size := range s.b {
		if n, complete := u.Unwind(0, guestmem.GVA(code(0)), testSP, testSP+0x10, s.b[:size], out[:]); complete || !slices.Equal(out[:n], want[:n]) {
			t.Errorf("%d bytes: %#x, complete %v", size, out[:n], complete)
		}
	}
	binary.LittleEndian.PutUint64(s.b[0x30:], testSP+0x10) // a loop
	if n, complete := u.Unwind(0, guestmem.GVA(code(0)), testSP, testSP+0x10, s.b, out[:]); n != 3 || complete {
		t.Errorf("loop: %#x, complete %v", out[:n], complete)
	}
}

// TestUnwinderChoice expects what each file of testdata is built for.
func TestUnwinderChoice(t *testing.T) {
	for name, want := range map[string]string{"amd64.elf": "CFI", "dwarf4.elf": "CFI", "powerpc.elf": ""} {
		u, err := NewSpace(open(t, name), 0).Unwinder()
		switch {
		case want == "" && (u != nil || !known(err)):
			t.Errorf("%s: %v, %v", name, u, err)
		case want != "" && (err != nil || u.Method() != want):
			t.Errorf("%s: %v, %v; want %s", name, u, err, want)
		}
	}
	im := open(t, "i386.elf")
	di, err := im.debug()
	if err != nil || len(di.unitsOf([]string{"function"})) != 1 {
		t.Fatal(err)
	}
	if !im.compiledWith("-fno-omit-frame-pointer", "function") || im.compiledWith("-fno-such-option", "function") {
		t.Error("the compiler's options are not read")
	}
}

// TestUnwindCFI unwinds from every instruction of a function by the CFI that
// a compiler wrote, on 64 and 32 bits.
func TestUnwindCFI(t *testing.T) {
	for _, name := range []string{"amd64.elf", "i386.elf"} {
		im := open(t, name)
		cfi, err := newCFIUnwinder(NewSpace(im, testSlide))
		if err != nil {
			t.Fatal(err)
		}
		u := &unwinder{im.arch, "CFI", cfi}
		f, err := im.Symbol("function")
		if err != nil {
			t.Fatal(err)
		}
		// At its first instruction the return address is on top.
		b := make([]byte, 64)
		ret := f.Addr + testSlide + 3
		if im.arch.WordSize == 8 {
			binary.LittleEndian.PutUint64(b, ret)
		} else {
			binary.LittleEndian.PutUint32(b, uint32(ret))
		}
		var out [4]guestmem.GVA
		n, complete := u.Unwind(0, guestmem.GVA(f.Addr+testSlide), testSP&0xffff_ffff, 0, b, out[:1])
		if n != 1 || !complete || out[0] != guestmem.GVA(ret) {
			t.Errorf("%s: Unwind = %#x, complete %v", name, out[:n], complete)
		}
		// A stack begins with a return address of zero.
		if n, complete := u.Unwind(0, guestmem.GVA(f.Addr+testSlide), testSP&0xffff_ffff, 0, make([]byte, 64), out[:]); n != 0 || !complete {
			t.Errorf("%s: at the outermost frame: %#x, complete %v", name, out[:n], complete)
		}
		// Assembly code has no CFI: the walk ends there.
		label, err := im.Symbol("asm_label")
		if err != nil {
			t.Fatal(err)
		}
		if n, complete := u.Unwind(0, guestmem.GVA(label.Addr+testSlide), testSP&0xffff_ffff, 0, b, out[:]); n != 0 || complete {
			t.Errorf("%s: from assembly code: %#x, complete %v", name, out[:n], complete)
		}
		for at := f.Addr; at < f.Addr+f.Size; at++ {
			if row := cfi.row(at); row == nil {
				t.Errorf("%s: no row at function+%d", name, at-f.Addr)
			}
		}
	}
}

// BenchmarkUnwind unwinds ten frames.
func BenchmarkUnwind(b *testing.B) {
	u := testUnwinder(b)
	var s stackBuilder
	for range 9 {
		s.push(code(0x110), 1, 1, 2)
	}
	s.push(code(0x810))
	var out [16]guestmem.GVA
	b.ReportAllocs()
	frames := 0
	for b.Loop() {
		n, _ := u.Unwind(10, guestmem.GVA(code(0)), testSP, 0, s.b, out[:])
		frames = n
	}
	b.ReportMetric(float64(frames), "frames")
}
