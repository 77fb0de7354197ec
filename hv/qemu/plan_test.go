package qemu

import (
	"encoding/binary"
	"strings"
	"testing"
	"unsafe"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

const text = 0xffffffff81000000

func exits(addrs ...guestmem.GVA) (out []hv.ExitPoint) {
	for _, addr := range addrs {
		out = append(out, hv.ExitPoint{Addr: addr})
	}
	return out
}

func TestCompilePlan(t *testing.T) {
	a := x86.AMD64()
	p, err := compilePlan(a, &hv.Plan{
		Hooks: []hv.Hook{
			{Name: "a", Entry: text, Exits: exits(text+8, text+9), StackBytes: 100, Args: 2},
			{Name: "b", Entry: text + 8, Exits: exits(text+9, text+9), Sync: true},
			{Name: "c", Entry: text + 32, Array: hv.Array{When: hv.ArrayAtEntry, Pointer: 5}},
		},
		Context: []hv.Fetch{
			{Reg: "gs_base", Offset: 0x1fb80, Size: 8},
			{Prev: 1, Offset: 0x970, Size: 4},
			{Offset: 0xffffffff82a079c0, Size: 8},
			{Prev: 1, Offset: 0xba0, Size: 16},
			{Reg: "gs_base", Offset: 0x1fb40, Size: 4},
			{Reg: "gs_base", Offset: 0x30000, Size: 4}, // too far to be joined
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	sites := map[uint64]siteRow{}
	for _, s := range p.sites {
		sites[s.addr-text] = s
	}
	for at, want := range map[uint64][2]int32{0: {0, exitNone}, 8: {1, 0}, 9: {-1, exitShared}, 32: {2, exitNone}} {
		if s, ok := sites[at]; !ok || s.entry != want[0] || s.exit != want[1] {
			t.Errorf("address +%d: %+v, want %v", at, s, want)
		}
	}
	if len(p.sites) != 4 {
		t.Errorf("%d addresses", len(p.sites))
	}
	if h := p.hooks[0]; h.stackBytes != 100 || h.nargs != 2 || h.exits != 1 || h.sync != 0 {
		t.Errorf("%+v", h)
	}
	if h := p.hooks[1]; h.nargs != 6 || h.sync != 1 {
		t.Errorf("%+v", h)
	}
	// gs_base once for both of its near fetches, the task once for both.
	if len(p.groups) != 4 || p.groups[0].count != 2 || p.groups[0].offset != 0x1fb40 || p.groups[0].span != 0x48 ||
		p.groups[1].count != 2 || p.groups[1].base != basePrev || p.groups[1].span != 0xba0+16-0x970 {
		t.Errorf("groups %+v", p.groups)
	}
	if p.header.contextBytes != 8+8+8+16+8+8 {
		t.Errorf("context of %d bytes", p.header.contextBytes)
	}
	if p.header.paging.levels != 5 || p.header.paging.level[0].shift != 48 || p.header.stackAlign != a.Linux.StackSize {
		t.Errorf("header %+v", p.header)
	}

	// The hash table finds every address.
	dst := make([]byte, 1<<16)
	if err := p.write(dst); err != nil {
		t.Fatal(err)
	}
	h := (*planHeader)(unsafe.Pointer(&dst[0]))
	for i, s := range p.sites {
		mask := uint64(1)<<h.hashBits - 1
		at := (s.addr * 0x9e3779b97f4a7c15) >> (64 - h.hashBits)
		for {
			n := binary.NativeEndian.Uint32(dst[uint64(h.hashAt)+4*at:])
			if n == uint32(i+1) {
				break
			}
			if n == 0 {
				t.Fatalf("address %#x is not in the table", s.addr)
			}
			at = (at + 1) & mask
		}
	}
	if err := p.write(dst[:400]); err == nil {
		t.Error("a plan that does not fit was written")
	}
}

func TestCompilePlanEmpty(t *testing.T) {
	p, err := compilePlan(x86.AMD64(), &hv.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
}

func TestCompilePlanRefuses(t *testing.T) {
	hook := func(edit func(*hv.Hook)) hv.Plan {
		h := hv.Hook{Name: "x", Entry: text}
		edit(&h)
		return hv.Plan{Hooks: []hv.Hook{h}}
	}
	fetch := func(f hv.Fetch) hv.Plan { return hv.Plan{Context: []hv.Fetch{f}} }
	many := make([]hv.Fetch, 65)
	for i := range many {
		many[i].Size = 16
	}
	for want, p := range map[string]hv.Plan{
		"not in kernel text": hook(func(h *hv.Hook) { h.Entry = 0x1000 }),
		"not in kernel":      hook(func(h *hv.Hook) { h.Exits = exits(4) }),
		"bytes of stack":     hook(func(h *hv.Hook) { h.StackBytes = 1 << 20 }),
		"wants -1 bytes":     hook(func(h *hv.Hook) { h.StackBytes = -1 }),
		"wants 7 arguments":  hook(func(h *hv.Hook) { h.Args = 7 }),
		"impossible arg":     hook(func(h *hv.Hook) { h.Array = hv.Array{When: hv.ArrayAtEntry, Pointer: 6} }),
		"an array of impos":  hook(func(h *hv.Hook) { h.Args = 1; h.Array = hv.Array{When: hv.ArrayAtEntry, Pointer: 1} }),
		"has none":           hook(func(h *hv.Hook) { h.Array = hv.Array{When: hv.ArrayAtExit} }),
		"two ways": hook(func(h *hv.Hook) {
			h.Exits = []hv.ExitPoint{{Addr: text + 8}, {Addr: text + 8, Pop: 8}}
		}),
		"no register \"nzcv\"": hook(func(h *hv.Hook) {
			h.Exits = []hv.ExitPoint{{Addr: text + 8, If: &arch.Condition{Register: "nzcv"}}}
		}),
		"same entry":         {Hooks: []hv.Hook{{Name: "x", Entry: text}, {Name: "y", Entry: text}}},
		"no power of two":    {StackSize: 12345},
		"fetch 0 of 0":       fetch(hv.Fetch{}),
		"fetch 0 of 17":      fetch(hv.Fetch{Size: 17}),
		`no register "nope"`: fetch(hv.Fetch{Size: 8, Reg: "nope"}),
		"based on fetch 0":   fetch(hv.Fetch{Size: 8, Prev: 1}),
		"wraps":              fetch(hv.Fetch{Size: 8, Offset: ^uint64(0)}),
		"bytes of context":   {Context: many},
	} {
		if _, err := compilePlan(x86.AMD64(), &p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

const mtree = `FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, ram): leakvisor-ram

FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-00000000000bffff (prio 0, ram): leakvisor-ram
  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom
  0000000000100000-00000000bfffffff (prio 0, ram): leakvisor-ram @0000000000100000 KVM
  00000000fee00000-00000000feefffff (prio 4096, i/o): apic-msi
  0000000100000000-00000001273fffff (prio 0, ram): leakvisor-ram @00000000c0000000

FlatView #2
 AS "cpu-smm-0", root: memory
  0000000200000000-00000002ffffffff (prio 0, ram): leakvisor-ram
`

func TestParseMemoryTree(t *testing.T) {
	got, err := parseMemoryTree(strings.ReplaceAll(mtree, "\n", "\r\n"), ramID)
	if err != nil {
		t.Fatal(err)
	}
	want := []ramRange{{0, 0xc0000000, 0}, {1 << 32, 0x27400000, 0xc0000000}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%#x, want %#x", got, want)
	}
	if _, err := parseMemoryTree(mtree, "other"); err == nil {
		t.Error("a machine without the region was accepted")
	}
	r := &ram{data: make([]byte, 4096)}
	if _, err := r.physical(got); err == nil {
		t.Error("RAM outside the memory file was accepted")
	}
}

func FuzzMemoryTree(f *testing.F) {
	f.Add(mtree)
	f.Add("FlatView #1\n AS \"memory\"\n ffffffffffffffff-ffffffffffffffff (prio 0, ram): leakvisor-ram @ffffffffffffffff")
	f.Fuzz(func(t *testing.T, text string) {
		ranges, err := parseMemoryTree(text, ramID)
		if err != nil {
			return
		}
		_, _ = (&ram{data: make([]byte, 4096)}).physical(ranges)
	})
}
