package kernel

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
	"github.com/leakvisor/leakvisor/xtest/fakemem"
)

// fakeInfo is debug information made up for a test.
type fakeInfo struct {
	a       *arch.Arch
	syms    map[string]symbols.Symbol
	structs map[string]*fakeStruct
	consts  map[string]int64
}

type fakeStruct struct {
	bytes  uint64
	fields map[string]symbols.Field
}

func (f *fakeInfo) arch() *arch.Arch { return f.a }

func (f *fakeInfo) symbol(name string) (symbols.Symbol, bool) {
	s, ok := f.syms[name]
	return s, ok
}

func (f *fakeInfo) sized(name string, bytes uint64) (symbols.Symbol, bool) {
	s, ok := f.syms[name]
	return s, ok && s.Size == bytes
}

func (f *fakeInfo) structure(name string, _ ...string) (structure, error) {
	if s, ok := f.structs[name]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("struct %s: %w", name, symbols.ErrNotFound)
}

func (f *fakeInfo) constant(name string, _ ...string) (int64, error) {
	if v, ok := f.consts[name]; ok {
		return v, nil
	}
	return 0, fmt.Errorf("constant %s: %w", name, symbols.ErrNotFound)
}

func (s *fakeStruct) size() uint64 { return s.bytes }

func (s *fakeStruct) field(path string) (symbols.Field, error) {
	if f, ok := s.fields[path]; ok {
		return f, nil
	}
	return symbols.Field{}, fmt.Errorf("member %s: %w", path, symbols.ErrNotFound)
}

// def defines a structure by its members, "path:size" each, one after the
// other with natural alignment. A size is a number of bytes, "w" for a word
// or a structure's name; "*n" behind it makes an array, "/bit/bits" a bit
// field. Structures nested in another are found by their dotted path.
func (f *fakeInfo) def(name string, members ...string) {
	s := &fakeStruct{fields: map[string]symbols.Field{}}
	for _, m := range members {
		path, spec, _ := strings.Cut(m, ":")
		spec, bits, isBits := strings.Cut(spec, "/")
		spec, times, isArray := strings.Cut(spec, "*")
		one, inner := f.sizeOf(spec)
		align := uint64(f.a.WordSize)
		if inner == nil && one < align && one > 0 {
			align = one
		}
		s.bytes = roundUp(s.bytes, align)
		fd := symbols.Field{Offset: s.bytes, Size: one}
		if isArray {
			fd.Count, _ = strconv.ParseUint(times, 10, 64)
			fd.Size *= fd.Count
		}
		if isBits {
			_, _ = fmt.Sscanf(bits, "%d/%d", &fd.BitOffset, &fd.BitSize)
		} else {
			s.bytes += fd.Size
		}
		s.fields[path] = fd
		if inner != nil {
			for p, x := range inner.fields {
				x.Offset += fd.Offset
				s.fields[path+"."+p] = x
			}
		}
	}
	s.bytes = roundUp(s.bytes, uint64(f.a.WordSize))
	f.structs[name] = s
}

func (f *fakeInfo) sizeOf(spec string) (uint64, *fakeStruct) {
	if spec == "w" {
		return uint64(f.a.WordSize), nil
	}
	if n, err := strconv.ParseUint(spec, 10, 64); err == nil {
		return n, nil
	}
	return f.structs[spec].bytes, f.structs[spec]
}

// fakeArchs are the rows that the tests run with: both byte orders and word
// sizes, one with per-CPU symbols that are offsets and one where they move.
func fakeArchs() []*arch.Arch {
	row := func(name string, word int, order binary.ByteOrder, direct, vmemmap uint64) *arch.Arch {
		return &arch.Arch{
			Name: name, WordSize: word, Order: order,
			Call:   arch.Call{SP: "sp", PC: "pc"},
			Paging: &arch.Paging{PageShift: 12, EntrySize: word, Canonical: word == 8, Levels: []arch.Level{{Name: "pgd", Shift: 21, Bits: 9, Leaf: arch.AllSet(2)}, {Name: "pte", Shift: 12, Bits: 9}}, Absent: arch.AllClear(1), Frame: ^uint64(4095)},
			Linux:  arch.Linux{Text: 1 << (word*8 - 1), PerCPUBase: "base", SwitchedSP: "thread.sp", StackSize: 8192, DirectMap: &arch.Base{Value: direct}, Vmemmap: &arch.Base{Value: vmemmap}},
		}
	}
	return []*arch.Arch{
		row("le64", 8, binary.LittleEndian, 0xffff_8880_0000_0000, 0xffff_ea00_0000_0000),
		row("be32", 4, binary.BigEndian, 0xc000_0000, 0xb000_0000),
	}
}

// types defines what newer and older kernels agree in.
func (f *fakeInfo) types() {
	f.def("list_head", "next:w", "prev:w")
	f.def("thread", "sp:w")
	f.def("thread_info", "flags:w", "preempt_count:4")
	f.def("task_struct", "thread_info:thread_info", "__state:4", "stack:w", "flags:4", "pid:4", "tgid:4", "tasks:list_head", "thread_node:list_head", "mm:w", "signal:w", "comm:16", "thread:thread")
	f.def("signal_struct", "x:4", "thread_head:list_head")
	f.def("mm_struct", "pgd:w")
	f.def("pcpu_chunk", "list:list_head", "base_addr:w", "alloc_map:w", "bound_map:w", "start_offset:4", "end_offset:4", "nr_pages:4", "populated:0")
	f.def("kallsyms", "symtab:w", "num_symtab:4", "strtab:w", "typetab:w")
	f.structs["mod_kallsyms"] = f.structs["kallsyms"]
	f.def("module_memory", "base:w", "size:4")
	f.def("modarch", "num_orcs:4", "orc_unwind_ip:w", "orc_unwind:w")
	f.def("orc_entry", "x:2*3")
	f.structs["orc_entry"].bytes = 6
	f.def("module", "state:4", "list:list_head", "name:56", "build_id:20", "mem:module_memory*7", "arch:modarch", "kallsyms:w", "core_kallsyms:kallsyms", "sect_attrs:w", "percpu:w", "percpu_size:4")
	f.def("attr", "name:w", "mode:2")
	f.def("bin_attribute", "attr:attr", "size:w")
	f.def("module_sect_attr", "battr:bin_attribute", "address:w")
	f.def("grp", "name:w")
	f.def("module_sect_attrs", "grp:grp", "nsections:4", "attrs:0")
	f.structs["module_sect_attrs"].fields["attrs"] = symbols.Field{Offset: f.structs["module_sect_attrs"].bytes}
	f.structs["pcpu_chunk"].fields["populated"] = symbols.Field{Offset: f.structs["pcpu_chunk"].bytes}
	f.def("page", "flags:w", "lru:list_head", "mapping:w", "index:w", "private:w", "page_type:4", "_refcount:4", "memcg_data:w")
	p := f.structs["page"]
	p.fields["compound_head"] = p.fields["lru.next"]
	f.def("free_area", "free_list:list_head*3", "nr_free:w")
	f.def("per_cpu_pages", "count:4", "lists:list_head*12")
	f.def("zone", "per_cpu_pageset:w", "free_area:free_area*11")
	f.def("pglist_data", "node_zones:zone*2")
	f.def("slab", "__page_flags:w", "slab_cache:w", "freelist:w", "inuse:4/0/16", "objects:4/16/15", "counters:4", "__unused:4")
	f.def("kmem_cache", "cpu_slab:w", "flags:4", "size:4", "object_size:4", "offset:4", "red_left_pad:4", "name:w", "list:list_head", "random:w")
	f.def("kmem_cache_cpu", "freelist:w", "tid:w", "slab:w")
	f.def("vm_struct", "next:w", "addr:w", "size:w", "flags:w", "pages:w", "nr_pages:4", "caller:w")
	f.def("vmap_area", "va_start:w", "va_end:w", "list:list_head", "vm:w")
	f.def("memblock_region", "base:8", "size:8", "flags:4", "nid:4")
	f.def("memblock_type", "cnt:w", "max:w", "total_size:8", "regions:w", "name:w")
	f.def("memblock", "bottom_up:1", "current_limit:8", "memory:memblock_type", "reserved:memblock_type")
	f.def("clocksource", "mult:4", "shift:4")
	f.def("utsname", "sysname:65", "nodename:65", "release:65", "version:65")
	f.def("uts_namespace", "name:utsname")
	f.consts = map[string]int64{
		"MODULE_STATE_LIVE": 0, "MODULE_STATE_COMING": 1, "MODULE_STATE_GOING": 2, "MODULE_STATE_UNFORMED": 3,
		"MOD_TEXT": 0, "MOD_DATA": 1, "MOD_RODATA": 2, "MOD_RO_AFTER_INIT": 3, "MOD_INIT_TEXT": 4, "MOD_INIT_DATA": 5, "MOD_INIT_RODATA": 6,
		"PG_lru": 4, "PG_slab": 9, "PG_reserved": 12, "PG_swapbacked": 19, "MIGRATE_PCPTYPES": 3,
		"SYSTEM_FREEING_INITMEM": 2, "SYSTEM_RUNNING": 3,
	}
}

// guest is a made-up guest.
type guest struct {
	*fakeInfo
	t     testing.TB
	mem   *fakemem.Memory
	ram   fakemem.Physical
	slide uint64
	next  guestmem.GVA // where fresh memory is
}

const fakeRAM = 1 << 20 // 256 pages

func newGuest(t testing.TB, a *arch.Arch) *guest {
	g := &guest{
		fakeInfo: &fakeInfo{a: a, syms: map[string]symbols.Symbol{}, structs: map[string]*fakeStruct{}},
		t:        t, mem: fakemem.New(a), slide: 0x20_0000,
		next: guestmem.GVA(a.Linux.Text + 0x100_0000),
	}
	g.ram = fakemem.Physical{Memory: g.mem, Base: guestmem.GVA(a.Linux.DirectMap.Value), Size: fakeRAM}
	g.types()
	return g
}

// fresh returns zeroed memory. It starts a little before a page's end, so
// that structures lie across two pages.
func (g *guest) fresh(n uint64) guestmem.GVA {
	at := g.next + 4096 - 24
	g.next = guestmem.GVA(roundUp(uint64(at)+n, 4096))
	g.mem.Write(at, make([]byte, n))
	return at
}

// sym makes memory for a variable and a symbol that names it.
func (g *guest) sym(name string, n uint64) guestmem.GVA {
	at := g.fresh(max(n, 8))
	g.syms[name] = symbols.Symbol{Name: name, Addr: uint64(at) - g.slide, Size: n}
	return at
}

func (g *guest) word(name string, v uint64) {
	g.mem.Word(g.sym(name, uint64(g.a.WordSize)), v)
}

func (g *guest) int32(name string, v uint64) { g.mem.Uint(g.sym(name, 4), 4, v) }

// of returns the address of a member.
func (g *guest) of(name string, at guestmem.GVA, path string) guestmem.GVA {
	g.t.Helper()
	f, ok := g.structs[name].fields[path]
	if !ok {
		g.t.Fatalf("no %s.%s", name, path)
	}
	return at + guestmem.GVA(f.Offset)
}

func (g *guest) set(name string, at guestmem.GVA, path string, v uint64) {
	g.t.Helper()
	f := g.structs[name].fields[path]
	g.mem.Uint(g.of(name, at, path), int(f.Size), v)
}

func (g *guest) text(s string) guestmem.GVA {
	at := g.fresh(uint64(len(s)) + 1)
	g.mem.Write(at, append([]byte(s), 0))
	return at
}

// chain makes a list_head list of nodes.
func (g *guest) chain(head guestmem.GVA, nodes ...guestmem.GVA) {
	all := append([]guestmem.GVA{head}, nodes...)
	for i, n := range all {
		next, prev := all[(i+1)%len(all)], all[(i+len(all)-1)%len(all)]
		g.mem.Word(n, uint64(next))
		g.mem.Word(n+guestmem.GVA(g.a.WordSize), uint64(prev))
	}
}

func (g *guest) kernel() *Kernel {
	g.t.Helper()
	k, err := newKernel(g.mem, g.ram, g, g.slide)
	if err != nil {
		g.t.Fatal(err)
	}
	return k
}

// each runs a test on each kind of architecture.
func each(t *testing.T, fn func(*testing.T, *guest)) {
	for _, a := range fakeArchs() {
		t.Run(a.Name, func(t *testing.T) {
			g := newGuest(t, a)
			g.world()
			fn(t, g)
		})
	}
}
