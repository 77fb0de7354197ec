package kernel

import (
	"errors"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// addVariants adds what only some kernels have.
func (g *guest) addVariants() {
	g.sheafTypes()
	w := uint64(g.a.WordSize)
	g.perCPUSym("hardirq_stack_ptr", 0x60, w)
	g.perCPUSym("irq_stack_backing_store", 0x1000, 8192)
	g.perCPUSym("cea_exception_stacks", 0x68, w)
	g.perCPUSym("exception_stacks", 0x2000, 4096)
	g.def("exception_stacks", "DF_stack:1024", "NMI_stack:1024")
	g.def("cea_exception_stacks", "guard:1024", "DF_stack:1024", "guard2:1024", "NMI_stack:1024")
	g.def("cpu_entry_area", "gdt:4096", "entry_stack_page:4096", "estacks:cea_exception_stacks")
}

func (g *guest) sheafTypes() {
	g.def("slub_percpu_sheaves", "lock:4", "main:w", "spare:w")
	g.def("slab_sheaf", "barn_list:list_head", "cache:w", "size:4", "objects:0")
	g.structs["slab_sheaf"].fields["objects"] = symbols.Field{Offset: g.structs["slab_sheaf"].bytes}
	g.def("node_barn", "lock:4", "sheaves_full:list_head")
	g.def("kmem_cache_node", "lock:4", "barn:w")
	g.def("kmem_cache", "cpu_slab:w", "flags:4", "size:4", "object_size:4", "offset:4", "red_left_pad:4", "name:w", "list:list_head", "random:w", "cpu_sheaves:w", "node:w*2")
}

func (g *guest) sheaf(objects ...guestmem.GVA) guestmem.GVA {
	w := uint64(g.a.WordSize)
	s := g.structs["slab_sheaf"]
	at := g.fresh(s.bytes + uint64(len(objects))*w)
	g.set("slab_sheaf", at, "size", uint64(len(objects)))
	for i, o := range objects {
		g.mem.Word(at+guestmem.GVA(s.bytes+uint64(i)*w), uint64(o))
	}
	return at
}

func TestSheaves(t *testing.T) {
	each(t, func(t *testing.T, g *guest) { // as since 6.18
		g.sheafTypes()
		cache := g.slabCache(true)
		base := guestmem.GVA(g.a.Linux.DirectMap.Value) + 16*4096
		object := func(i int) guestmem.GVA { return base + guestmem.GVA(i*64) }
		g.set("kmem_cache", cache, "cpu_sheaves", g.ptr(0x380))
		g.set("slub_percpu_sheaves", g.unit(2)+0x380, "main", uint64(g.sheaf(object(20), object(21))))
		node, barn, full := g.fresh(g.structs["kmem_cache_node"].bytes), g.fresh(g.structs["node_barn"].bytes), g.sheaf(object(30))
		g.mem.Word(g.of("kmem_cache", cache, "node"), uint64(node))
		g.set("kmem_cache_node", node, "barn", uint64(barn))
		g.chain(g.of("node_barn", barn, "sheaves_full"), g.of("slab_sheaf", full, "barn_list"))
		k := g.kernel()
		s, err := slabs(t, k)
		if err != nil {
			t.Fatal(err)
		}
		x, _, err := s.Find(base)
		if err != nil {
			t.Fatal(err)
		}
		for i, free := range map[int]bool{3: true, 7: true, 20: true, 21: true, 30: true, 22: false, 31: false} {
			if x.Allocated(i) == free {
				t.Errorf("object %d: allocated is %v", i, !free)
			}
		}
	})
}

func TestVmapNodes(t *testing.T) {
	each(t, func(t *testing.T, g *guest) { // as since 6.9
		delete(g.syms, "vmap_area_list")
		g.def("rb_list", "root:w", "head:list_head")
		g.def("vmap_node", "pool:w", "busy:rb_list", "lazy:rb_list")
		nodes := g.fresh(3 * g.structs["vmap_node"].bytes)
		g.word("vmap_nodes", uint64(nodes))
		g.int32("nr_vmap_nodes", 3)
		for i := range guestmem.GVA(3) {
			a := g.fresh(g.structs["vmap_area"].bytes)
			g.set("vmap_area", a, "va_start", 0x9000_0000+uint64(i)<<20)
			g.set("vmap_area", a, "va_end", 0x9000_1000+uint64(i)<<20)
			g.chain(g.of("vmap_node", nodes+i*guestmem.GVA(g.structs["vmap_node"].bytes), "busy.head"), g.of("vmap_area", a, "list"))
		}
		areas, err := g.kernel().VmapAreas()
		if err != nil || len(areas) != 3 || areas[2].Range.Start != 0x9020_0000 {
			t.Errorf("areas %+v, %v", areas, err)
		}
	})
}

// As since 6.9 on 32 bits, where there is one node and no pointer to it.
func TestVmapNode(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		delete(g.syms, "vmap_area_list")
		g.def("rb_list", "root:w", "head:list_head")
		g.def("vmap_node", "pool:w", "busy:rb_list", "lazy:rb_list")
		size := g.structs["vmap_node"].bytes
		node, a := g.fresh(size), g.fresh(g.structs["vmap_area"].bytes)
		g.syms["single"] = symbols.Symbol{Name: "single", Addr: uint64(node) - g.slide, Size: size}
		g.set("vmap_area", a, "va_start", 0x9000_0000)
		g.set("vmap_area", a, "va_end", 0x9000_1000)
		g.chain(g.of("vmap_node", node, "busy.head"), g.of("vmap_area", a, "list"))
		areas, err := g.kernel().VmapAreas()
		if err != nil || len(areas) != 1 || areas[0].Range.Start != 0x9000_0000 {
			t.Errorf("areas %+v, %v", areas, err)
		}
	})
}

func TestModuleLayouts(t *testing.T) {
	each(t, func(t *testing.T, g *guest) { // as up to 6.3
		g.def("module_layout", "base:w", "size:4", "text_size:4", "ro_size:4", "ro_after_init_size:4")
		g.def("module", "state:4", "list:list_head", "name:56", "core_layout:module_layout", "init_layout:module_layout")
		m := g.fresh(g.structs["module"].bytes)
		for i, part := range []string{"core_layout", "init_layout"} {
			g.set("module", m, part+".base", 0x8000_0000+uint64(i)<<20)
			g.set("module", m, part+".size", 0x4000)
			g.set("module", m, part+".text_size", 0x1000)
			g.set("module", m, part+".ro_size", 0x2000)
		}
		g.set("module", m, "core_layout.ro_after_init_size", 0x3000)
		x, err := g.kernel().Module(m)
		if err != nil {
			t.Fatal(err)
		}
		at := func(start, end uint64) guestmem.Range[guestmem.GVA] {
			return guestmem.Range[guestmem.GVA]{Start: guestmem.GVA(0x8000_0000 + start), End: guestmem.GVA(0x8000_0000 + end)}
		}
		want := []ModuleMem{
			{ModuleText, at(0, 0x1000)}, {ModuleROData, at(0x1000, 0x2000)}, {ModuleROAfterInit, at(0x2000, 0x3000)}, {ModuleData, at(0x3000, 0x4000)},
			{ModuleInitText, at(0x100000, 0x101000)}, {ModuleInitROData, at(0x101000, 0x102000)}, {ModuleInitData, at(0x102000, 0x104000)},
		}
		if len(x.Mem) != len(want) {
			t.Fatalf("memory %+v", x.Mem)
		}
		for i := range want {
			if x.Mem[i] != want[i] {
				t.Errorf("part %d is %v, want %v", i, x.Mem[i], want[i])
			}
		}
		if _, err := g.kernel().ModuleSymbols(x); !errors.Is(err, ErrUnsupported) {
			t.Errorf("symbols: %v", err)
		}
	})
}

func TestSectionsAsBinAttributes(t *testing.T) {
	each(t, func(t *testing.T, g *guest) { // as since 6.14
		m := g.module("demo")
		g.def("grp", "name:w", "bin_attrs:w")
		g.def("module_sect_attrs", "grp:grp")
		g.def("bin_attribute", "attr:attr", "size:w", "private:w")
		w := uint64(g.a.WordSize)
		k := g.kernel()
		a, ptrs, attrs := g.fresh(g.structs["bin_attribute"].bytes), g.fresh(2*w), g.fresh(g.structs["module_sect_attrs"].bytes)
		g.set("bin_attribute", a, "attr.name", uint64(g.text(".data")))
		g.set("bin_attribute", a, "private", 0x8000_1000)
		g.mem.Word(ptrs, uint64(a))
		g.set("module_sect_attrs", attrs, "grp.bin_attrs", uint64(ptrs))
		g.set("module", m, "sect_attrs", uint64(attrs))
		x, err := k.Module(m)
		if err != nil {
			t.Fatal(err)
		}
		sections, err := k.ModuleSections(x)
		if err != nil || len(sections) != 1 || sections[0] != (Section{".data", 0x8000_1000}) {
			t.Errorf("sections %+v, %v", sections, err)
		}
	})
}

func TestInterruptedStacks(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		g.addVariants()
		w := guestmem.GVA(g.a.WordSize)
		irq, estacks := guestmem.GVA(roundUp(uint64(g.next), 8192)), guestmem.GVA(0)
		task := irq + 8192
		estacks = task + 8192
		g.next = estacks + 8192
		g.mem.Write(irq, make([]byte, 3*8192))
		// An NMI on top of an interrupt on top of a task, on CPU 2.
		g.mem.Word(g.unit(2)+0x60, uint64(irq+8192-w))
		g.mem.Word(g.unit(2)+0x68, uint64(estacks))
		nmiTop := estacks + 4096
		g.mem.Word(nmiTop-2*w, uint64(irq+0x1000))
		g.mem.Word(irq+8192-w, uint64(task+0x1234))
		init := guestmem.GVA(g.syms["init_task"].Addr + g.slide)
		g.set("task_struct", init, "stack", uint64(task))
		g.setCurrent(0, 0)
		g.setCurrent(2, init)
		k := g.kernel()
		tasks, err := k.Tasks()
		if err != nil {
			t.Fatal(err)
		}
		cpus, _ := k.CPUs()
		live, err := k.Stacks(tasks, []map[string]uint64{{"base": cpus[1].Offset, "sp": uint64(nmiTop - 0x200), "pc": g.a.Linux.Text}})
		if err != nil || len(live) != 3 {
			t.Fatalf("%+v, %v", live, err)
		}
		for i, want := range []guestmem.Range[guestmem.GVA]{{Start: nmiTop - 0x200, End: nmiTop}, {Start: irq + 0x1000, End: irq + 8192}, {Start: task + 0x1234, End: task + 8192}} {
			if live[i].Range != want || live[i].Whole {
				t.Errorf("%s is %x, want %x", live[i].Name, live[i].Range, want)
			}
		}
		stacks, err := k.CPUStacks()
		if err != nil || len(stacks) != 4 || stacks[0].Backing != from(g.unit(2)+0x1000, 8192) || stacks[2].Name != "NMI" || stacks[2].Backing != from(g.unit(2)+0x2400, 1024) {
			t.Errorf("stacks %+v, %v", stacks, err)
		}
	})
}

// TestSmallKernel: what a kernel can do without is not asked for, but is where
// a part of it is there.
func TestSmallKernel(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		for _, name := range []string{"clocksource_jiffies", "init_uts_ns", "modules", "memblock"} {
			delete(g.syms, name)
		}
		delete(g.structs["zone"].fields, "per_cpu_pageset")
		var missing *MissingError
		if _, err := newKernel(g.mem, g.ram, g, g.slide); !errors.As(err, &missing) || len(missing.Names) != 1 || missing.Names[0] != "struct zone.per_cpu_pageset" {
			t.Errorf("with the lists of CPUs but no way to them: %v", err)
		}
		delete(g.structs, "per_cpu_pages")
		k := g.kernel()
		p, err := k.Pages()
		if err != nil || p.PerCPU != 0 || p.Buddy != 4 || p.Class(70) != PageKernel {
			t.Errorf("%d pages are free on CPUs, %d else, frame 70 is %v; %v", p.PerCPU, p.Buddy, p.Class(70), err)
		}
		if _, err := k.HZ(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("HZ: %v", err)
		}
		if _, _, err := k.Uname(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("uname: %v", err)
		}
	})
}
