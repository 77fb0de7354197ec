package symbols

import (
	"errors"
	"testing"
)

func TestSymbols(t *testing.T) {
	for _, name := range append(modules, linked...) {
		t.Run(name, func(t *testing.T) {
			im := open(t, name)
			s, err := im.Symbol("function")
			if err != nil || !s.Func || s.Size == 0 || s.Name != "function" {
				t.Errorf("Symbol(function) = %+v, %v", s, err)
			}
			if _, err := im.Symbol("nothing"); !errors.Is(err, ErrNotFound) {
				t.Errorf("Symbol(nothing): %v", err)
			}
			var ambiguous *AmbiguousError
			if _, err := im.Symbol("dup"); !errors.As(err, &ambiguous) || len(ambiguous.Addrs) != 2 || ambiguous.Name != "dup" {
				t.Errorf("Symbol(dup): %v", err)
			}
			if _, err := im.Func("dup"); !errors.As(err, &ambiguous) {
				t.Errorf("Func(dup): %v", err)
			}
			if _, err := im.Func("pair"); !errors.As(err, &ambiguous) || len(ambiguous.Addrs) != 2 {
				t.Errorf("Func(pair), clones of two static functions: %v", err)
			}
			if got := im.Symbols("dup"); len(got) != 2 || got[0].Addr >= got[1].Addr {
				t.Errorf("Symbols(dup) = %+v", got)
			}
			for _, f := range []string{"one.c", ".text", ""} {
				if got := im.Symbols(f); got != nil {
					t.Errorf("Symbols(%q) = %+v", f, got)
				}
			}
		})
	}
}

func TestFunc(t *testing.T) {
	im := open(t, "amd64.elf")
	f, err := im.Func("function")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Entries) != 2 || f.Entries[0].Name != "function" || f.Entries[1].Name != "function.isra.0" {
		t.Errorf("Entries = %+v", f.Entries)
	}
	if len(f.Cold) != 1 || f.Cold[0].Name != "function.cold" {
		t.Errorf("Cold = %+v", f.Cold)
	}
	if f, err := im.Func("function.isra.0"); err != nil || len(f.Entries) != 1 || len(f.Cold) != 0 {
		t.Errorf("Func of a clone's name = %+v, %v", f, err)
	}
	for _, name := range []string{"outer", "asm_label", "func", "function.", ""} {
		if f, err := im.Func(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("Func(%q) = %+v, %v", name, f, err)
		}
	}
	// Two names of one place are one function.
	if f, err := im.Func("__sized"); err != nil || len(f.Entries) != 1 {
		t.Errorf("Func(__sized) = %+v, %v", f, err)
	}
}

func TestFuncAt(t *testing.T) {
	im := open(t, "amd64.elf")
	text, _, err := im.Section(".text")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at         uint64
		name       string
		start, end uint64
	}{
		{0, "asm_label", 0, 24}, // not _text, _stext
		{23, "asm_label", 0, 24},
		{24, "asm_inside", 24, 64},
		{63, "asm_inside", 24, 64},
		{64, "sized", 64, 69}, // not __sized
		{68, "sized", 64, 69},
		{69, "", 0, 0}, // padding
	} {
		s, ok := im.FuncAt(text + c.at)
		if ok != (c.name != "") || s.Name != c.name || ok && (s.Addr-text != c.start || s.Addr+s.Size-text != c.end) {
			t.Errorf("FuncAt(.text+%d) = %+v, %v; want %s", c.at, s, ok, c.name)
		}
	}
	f, err := im.Symbol("function")
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := im.FuncAt(f.Addr + f.Size - 1); !ok || s != f {
		t.Errorf("the last byte of function is of %+v, %v", s, ok)
	}
	outer, err := im.Symbol("outer")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []uint64{text - 1, outer.Addr, 0, ^uint64(0)} {
		if s, ok := im.FuncAt(at); ok {
			t.Errorf("FuncAt(%#x) = %+v", at, s)
		}
	}
}

func TestBaseName(t *testing.T) {
	for in, want := range map[string]string{
		"kfree": "kfree", "kfree.isra.0": "kfree", "a.part.3.constprop.1": "a", ".text": ".text", "": "",
	} {
		if got := baseName(in); got != want {
			t.Errorf("baseName(%q) = %q, want %q", in, got, want)
		}
	}
}
