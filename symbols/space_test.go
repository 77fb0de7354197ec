package symbols

import (
	"errors"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

func TestSpaceKernel(t *testing.T) {
	im := open(t, "amd64.elf")
	s := NewSpace(im, testSlide)
	f, err := im.Symbol("function")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := s.Addr("function"); err != nil || uint64(a) != f.Addr+testSlide {
		t.Errorf("Addr = %#x, %v", a, err)
	}
	// The kernel's end moves with it, an absolute symbol does not.
	end, err := im.Symbol("_end")
	if err != nil {
		t.Fatal(err)
	}
	if a := s.Runtime(end.Addr); uint64(a) != end.Addr+testSlide {
		t.Errorf("_end is at %#x", a)
	}
	if a := s.Runtime(0x1fb80); a != 0x1fb80 {
		t.Errorf("a per-CPU offset became %#x", a)
	}
	if _, err := s.Addr("nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Addr(nothing): %v", err)
	}
	if link, ok := s.Link(guestmem.GVA(f.Addr + testSlide)); !ok || link != f.Addr {
		t.Errorf("Link = %#x, %v", link, ok)
	}
	if _, ok := s.Link(testModule); ok {
		t.Error("a module's address is in the kernel")
	}

	text := guestmem.GVA(f.Addr + testSlide)
	twin, err := im.Symbol("twin_user")
	if err != nil {
		t.Fatal(err)
	}
	size := twin.Addr - f.Addr // with padding, as in the kernel's own table
	if size <= f.Size {
		t.Fatalf("testdata: there is no padding behind function")
	}
	for _, c := range []struct {
		pc   guestmem.GVA
		ret  bool
		want Frame
	}{
		{text, false, Frame{Symbol: "function", Size: size}},
		{text + 1, true, Frame{Symbol: "function", Offset: 1, Size: size}},
		{text + guestmem.GVA(size) - 1, false, Frame{Symbol: "function", Offset: size - 1, Size: size}},
		// Behind a call that does not return begins another function.
		{text + guestmem.GVA(size), true, Frame{Symbol: "function", Offset: size, Size: size}},
		{guestmem.GVA(code(0)), true, Frame{Symbol: "asm_label", Size: 24}},
		{guestmem.GVA(code(0x40)), false, Frame{Symbol: "sized", Size: 64}},
		{guestmem.GVA(code(0x8_0000)), false, Frame{}},
		{0, true, Frame{}},
		{^guestmem.GVA(0), true, Frame{}},
	} {
		got := s.Resolve(c.pc, 0)
		if c.ret {
			got = s.ResolveReturn(c.pc, 0)
		}
		if got != c.want {
			t.Errorf("%#x (return %v): %+v, want %+v", c.pc, c.ret, got, c.want)
		}
	}
	if file, line, ok := s.LineOf(text, 0); !ok || !strings.HasSuffix(file, "one.c") || line == 0 {
		t.Errorf("LineOf = %s, %d, %v", file, line, ok)
	}
}

func mod(name string, base guestmem.GVA, symbols ...Symbol) Module {
	return Module{
		Name:    name,
		Ranges:  []guestmem.Range[guestmem.GVA]{{Start: base, End: base + 0x1000}, {Start: base + 0x8000, End: base + 0x9000}},
		Symbols: symbols,
	}
}

// TestSpaceModules loads two modules at one address, one after the other, and
// asks for each time what was there.
func TestSpaceModules(t *testing.T) {
	s := NewSpace(open(t, "amd64.elf"), testSlide)
	const base = testModule
	add := func(m Module, seq uint64) {
		t.Helper()
		if err := s.AddModule(m, seq); err != nil {
			t.Fatal(err)
		}
	}
	add(mod("a", base,
		Symbol{Name: "a_second", Addr: base + 0x40},
		Symbol{Name: "a_first", Addr: base},
		Symbol{Name: "$x", Addr: base + 0x20},
		Symbol{Name: "", Addr: base + 0x24},
		Symbol{Name: "init_local", Addr: base + 0x80},
		Symbol{Name: "init_module", Addr: base + 0x80},
		Symbol{Name: "a_data", Addr: base + 0x8010},
	), 100)
	if s.RemoveModule("a", base+1, 150) || s.RemoveModule("b", base, 150) {
		t.Error("another module was removed")
	}
	if !s.RemoveModule("a", base, 200) || s.RemoveModule("a", base, 201) {
		t.Error("a module is not removed exactly once")
	}
	add(mod("b", base, Symbol{Name: "b_only", Addr: base + 0x10}), 300)

	for _, c := range []struct {
		pc   guestmem.GVA
		seq  uint64
		want Frame
	}{
		{base + 4, 99, Frame{}},
		{base + 4, 100, Frame{Symbol: "a_first", Offset: 4, Size: 0x40, Module: "a"}},
		{base + 0x24, 100, Frame{Symbol: "a_first", Offset: 0x24, Size: 0x40, Module: "a"}},
		{base + 0x41, 199, Frame{Symbol: "a_second", Offset: 1, Size: 0x40, Module: "a"}},
		{base + 0x85, 199, Frame{Symbol: "init_local", Offset: 5, Size: 0x1000 - 0x80, Module: "a"}},
		{base + 0x8020, 199, Frame{Symbol: "a_data", Offset: 0x10, Size: 0x1000 - 0x10, Module: "a"}},
		{base + 0x8000, 199, Frame{Module: "a"}}, // the symbol before is in another range
		{base + 0x2000, 199, Frame{}},            // between the ranges
		{base + 0x1000, 199, Frame{}},
		{base + 4, 200, Frame{}},
		{base + 4, 299, Frame{}},
		{base + 4, 300, Frame{Module: "b"}}, // before its first symbol
		{base + 0x14, 300, Frame{Symbol: "b_only", Offset: 4, Size: 0xff0, Module: "b"}},
		{base + 0x14, 150, Frame{Symbol: "a_first", Offset: 0x14, Size: 0x40, Module: "a"}}, // what was
	} {
		if got := s.Resolve(c.pc, c.seq); got != c.want {
			t.Errorf("Resolve(%#x, %d) = %+v, want %+v", c.pc, c.seq, got, c.want)
		}
	}
	want := Frame{Symbol: "a_first", Offset: 0x40, Size: 0x40, Module: "a"}
	if got := s.ResolveReturn(base+0x40, 150); got != want {
		t.Errorf("ResolveReturn = %+v, want %+v", got, want)
	}

	// What was a's initialization code is c's now, without a word.
	add(mod("d", base+0x10_0000), 400)
	add(mod("e", base+0x10_0000), 500)
	if got := s.Resolve(base+0x10_0000, 450); got.Module != "d" {
		t.Errorf("before: %+v", got)
	}
	if got := s.Resolve(base+0x10_0000, 500); got.Module != "e" {
		t.Errorf("after: %+v", got)
	}
}

func TestSpaceModuleErrors(t *testing.T) {
	s := NewSpace(open(t, "amd64.elf"), 0)
	if err := s.AddModule(Module{Name: "empty"}, 1); err == nil {
		t.Error("a module without a range")
	}
	m := mod("bad", testModule)
	m.ORCIP, m.ORC = []byte{1, 2, 3, 4}, []byte{1}
	if err := s.AddModule(m, 1); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "bad") {
		t.Errorf("bad unwind tables: %v", err)
	}
	if got := s.Resolve(testModule, 1); got.Module != "bad" {
		t.Errorf("the module is not there: %+v", got)
	}
	plain, err := newImage("plain", without(t, testdata(t, "amd64.elf"), ".debug_info"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.ORCIP, m.ORC = make([]byte, 4), make([]byte, 6)
	if err := NewSpace(plain, 0).AddModule(m, 1); !errors.Is(err, ErrNoDebugInfo) {
		t.Errorf("unwind tables of an unknown layout: %v", err)
	}
}

// TestSpaceModuleLines finds the source line of a loaded module by its file.
func TestSpaceModuleLines(t *testing.T) {
	ko := open(t, "module.ko")
	second, err := ko.Symbol("second")
	if err != nil {
		t.Fatal(err)
	}
	s := NewSpace(open(t, "amd64.elf"), testSlide)
	m := mod("two", testModule, Symbol{Name: "second", Addr: testModule + 0x100})
	m.Image = ko
	if err := s.AddModule(m, 1); err != nil {
		t.Fatal(err)
	}
	_, want, ok := ko.Line(second.Addr + 1)
	file, line, ok2 := s.LineOf(testModule+0x101, 1)
	if !ok || !ok2 || !strings.HasSuffix(file, "two.c") || line != want {
		t.Errorf("LineOf = %s:%d, %v; want two.c:%d", file, line, ok2, want)
	}
	for _, pc := range []guestmem.GVA{testModule, testModule + 0x8000, testModule + 0x4000} {
		if file, line, ok := s.LineOf(pc, 1); ok {
			t.Errorf("LineOf(%#x) = %s:%d", pc, file, line)
		}
	}
}
