package hooks

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// image is a kernel made of a few functions.
type image struct {
	funcs map[string][]byte
	addrs map[string]uint64
}

func newImage() *image { return &image{map[string][]byte{}, map[string]uint64{}} }

func (m *image) add(name string, addr uint64, code ...byte) *image {
	m.funcs[name], m.addrs[name] = code, addr
	return m
}

func (m *image) symbol(name string) symbols.Symbol {
	return symbols.Symbol{Name: name, Addr: m.addrs[name], Size: uint64(len(m.funcs[name])), Func: true}
}

func (m *image) Symbols(name string) []symbols.Symbol {
	if _, ok := m.funcs[name]; !ok {
		return nil
	}
	return []symbols.Symbol{m.symbol(name)}
}

func (m *image) Func(name string) (symbols.Func, error) {
	f := symbols.Func{Name: name}
	for n := range m.funcs {
		switch {
		case n == name+".cold":
			f.Cold = append(f.Cold, m.symbol(n))
		case n == name, strings.HasPrefix(n, name+"."):
			f.Entries = append(f.Entries, m.symbol(n))
		}
	}
	if len(f.Entries) == 0 {
		return f, fmt.Errorf("%s: %w", name, symbols.ErrNotFound)
	}
	return f, nil
}

func (m *image) FuncAt(addr uint64) (symbols.Symbol, bool) {
	for n, at := range m.addrs {
		if addr-at < uint64(len(m.funcs[n])) {
			return m.symbol(n), true
		}
	}
	return symbols.Symbol{}, false
}

func (m *image) Read(addr uint64, buf []byte) error {
	s, ok := m.FuncAt(addr)
	if !ok || addr+uint64(len(buf)) > s.Addr+s.Size {
		return errors.New("no such bytes")
	}
	copy(buf, m.funcs[s.Name][addr-s.Addr:])
	return nil
}

const ret = 0xc3

// testImage has one allocator with a cold part and a tail call.
func testImage() *image {
	return newImage().
		add("start_kernel", 0x0f00, ret).
		add("__kmalloc", 0x1000, 0x90, 0x0f, 0x84, 0xf9, 0x0f, 0, 0, 0xe9, 0xf4, 0x1f, 0, 0). // je 0x2000, jmp 0x3000
		add("__kmalloc.cold", 0x2000, 0x90, 0xe9, 0xfb, 0xef, 0xff, 0xff).                    // jmp 0x1001
		add("helper", 0x3000, 0x75, 0x01, ret, ret).
		add("kfree", 0x4000, ret).
		add("unrelated", 0x5000, ret)
}

func TestBuildPlan(t *testing.T) {
	const slide = 0x100000
	p, err := BuildPlan(x86.AMD64(), testImage(), slide, PlanOptions{Track: []Class{Slab}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Gaps) != 0 || len(p.Hooks) != len(p.Targets) {
		t.Fatalf("gaps %q, %d hooks, %d targets", p.Gaps, len(p.Hooks), len(p.Targets))
	}
	got := map[string][]guestmem.GVA{}
	for _, h := range p.Hooks {
		got[h.Name] = []guestmem.GVA{h.Entry}
		for _, x := range h.Exits {
			got[h.Name] = append(got[h.Name], x.Addr)
		}
	}
	want := map[string][]guestmem.GVA{
		"__kmalloc":    {slide + 0x1000, slide + 0x3002, slide + 0x3003},
		"kfree":        {slide + 0x4000},
		"start_kernel": {slide + 0x0f00},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("hooks %#x, want %#x", got, want)
	}
}

func TestBuildPlanGaps(t *testing.T) {
	m := testImage().add("kmem_cache_alloc", 0x6000, 0x06) // not an instruction
	p, err := BuildPlan(x86.AMD64(), m, 0, PlanOptions{Track: []Class{Slab}})
	if err != nil || len(p.Gaps) != 1 || !strings.Contains(p.Gaps[0], "kmem_cache_alloc") {
		t.Fatalf("gaps %q, error %v", p.Gaps, err)
	}
	_, err = BuildPlan(x86.AMD64(), m, 0, PlanOptions{Track: []Class{Slab, Vmalloc}})
	if !errors.Is(err, ErrNoAllocators) {
		t.Fatalf("without vmalloc: %v", err)
	}
}

func TestFindSlide(t *testing.T) {
	text := make([]byte, 0x600000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range text {
		text[i] = byte(rng.Uint32())
	}
	const link, slide = 0xffffffff81000000, 0x1c200000
	m := newImage().add("_text", link, text...)
	find := func(code []byte) (uint64, error) {
		return FindSlide(x86.AMD64(), m, link, link+uint64(len(text)), link+slide+0x400123, code)
	}
	code := append([]byte(nil), text[0x400123:0x400163]...)
	code[9] ^= 0xff // a relocated byte
	if got, err := find(code); err != nil || got != slide {
		t.Errorf("slide %#x, %v", got, err)
	}
	if _, err := find(make([]byte, 64)); !errors.Is(err, ErrWrongKernel) {
		t.Errorf("another kernel's code: %v", err)
	}
	if _, err := find(nil); err == nil {
		t.Error("no code was accepted")
	}
}

func TestEntrySlide(t *testing.T) {
	const link, slide = 0x80500040, 0x230000
	code := make([]byte, 64)
	for i := range code {
		code[i] = byte(i * 7)
	}
	a := *x86.AMD64()
	a.Linux.Entry, a.Linux.SlideAlign = "start_kernel", 64<<10
	m := newImage().add("start_kernel", link, code...)
	for _, c := range []struct {
		name string
		pc   guestmem.GVA
		code []byte
		want bool
	}{
		{"moved", link + slide, code, true},
		{"at home", link, code, true},
		{"half moved", link + slide + 4096, code, false},
		{"other code", link + slide, make([]byte, 64), false},
		{"no code", link + slide, nil, false},
	} {
		got, ok, err := EntrySlide(&a, m, c.pc, c.code)
		if err != nil || ok != c.want || ok && got != uint64(c.pc)-link {
			t.Errorf("%s: slide %#x, %v, %v", c.name, got, ok, err)
		}
	}
	if _, _, err := EntrySlide(&a, newImage(), link, code); err == nil {
		t.Error("an image without the function was accepted")
	}
}
