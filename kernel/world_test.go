package kernel

import (
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// Places in the made-up guest.
const (
	worldStatic = 0x400  // bytes of static per-CPU variables
	worldUnit   = 0x4000 // of a per-CPU unit
	worldHZ     = 250
)

// world puts into the guest the least that New wants, and more for the
// readers that need it: two CPUs, empty lists.
func (g *guest) world() {
	w := uint64(g.a.WordSize)
	g.sym("_text", 8)
	g.cpus()

	task := g.sym("init_task", g.structs["task_struct"].bytes)
	g.task(task, 0, "swapper/0", 0)
	g.chain(g.of("task_struct", task, "tasks"))
	g.setCurrent(0, task)

	for _, head := range []string{"modules", "slab_caches", "vmap_area_list"} {
		g.chain(g.sym(head, 2*w))
	}
	g.pages()

	mb := g.sym("memblock", g.structs["memblock"].bytes)
	for i, typ := range []string{"memory", "reserved"} {
		regions := g.sym("memblock_"+typ+"_init_regions", 4*g.structs["memblock_region"].bytes)
		g.set("memblock", mb, typ+".cnt", 1)
		g.set("memblock", mb, typ+".regions", uint64(regions))
		g.set("memblock_region", regions, "base", uint64(i)*0x1000)
		g.set("memblock_region", regions, "size", 0x2000)
	}
	g.int32("system_state", 1)

	j := g.sym("jiffies_64", 8)
	ticks := -300 * worldHZ
	g.mem.Uint(j, 8, uint64(uint32(ticks))+10*worldHZ+worldHZ/2)
	cs := g.sym("clocksource_jiffies", g.structs["clocksource"].bytes)
	g.set("clocksource", cs, "mult", 4_000_000<<8)
	g.set("clocksource", cs, "shift", 8)
	uts := g.sym("init_uts_ns", g.structs["uts_namespace"].bytes)
	g.mem.Write(g.of("uts_namespace", uts, "name.release"), []byte("6.1.0-fake"))
	g.mem.Write(g.of("uts_namespace", uts, "name.version"), []byte("#1 SMP"))
}

// cpus makes CPUs 0 and 2 of three, with per-CPU areas. On 64 bits per-CPU
// symbols are offsets from zero, on 32 they are addresses that move.
func (g *guest) cpus() {
	w := uint64(g.a.WordSize)
	mask := g.sym("__cpu_possible_mask", 2*w)
	g.mem.Word(mask, 0b101)
	g.int32("nr_cpu_ids", 3)
	start := uint64(0)
	if g.a.WordSize == 4 {
		start = uint64(g.fresh(worldStatic)) - g.slide
	}
	g.syms["__per_cpu_start"] = symbols.Symbol{Name: "__per_cpu_start", Addr: start}
	g.syms["__per_cpu_end"] = symbols.Symbol{Name: "__per_cpu_end", Addr: start + worldStatic}
	if start == 0 {
		// So that __per_cpu_start lies before it.
		g.syms["_text"] = symbols.Symbol{Name: "_text", Addr: g.a.Linux.Text}
	}
	base := guestmem.GVA(g.a.Linux.DirectMap.Value) + 0x8_0000
	g.mem.Write(base, make([]byte, 3*worldUnit))
	g.word("pcpu_base_addr", uint64(base))
	g.int32("pcpu_unit_size", worldUnit)
	units := g.fresh(3 * w)
	g.word("pcpu_unit_offsets", uint64(units))
	offsets := g.sym("__per_cpu_offset", 4*w)
	for i := range uint64(3) {
		g.mem.Word(units+guestmem.GVA(i*w), i*worldUnit)
		g.mem.Word(offsets+guestmem.GVA(i*w), uint64(base)+i*worldUnit-g.ptr(0))
	}
	g.perCPUSym("current_task", 0x10, w)
	g.perCPUSym("__preempt_count", 0x18, 4)
	g.perCPUSym("idle_threads", 0x20, w)
	g.perCPUSym("cached_stacks", 0x30, 2*w)

	chunk := g.fresh(g.structs["pcpu_chunk"].bytes + w)
	g.set("pcpu_chunk", chunk, "base_addr", uint64(base))
	g.set("pcpu_chunk", chunk, "nr_pages", worldUnit/4096)
	g.set("pcpu_chunk", chunk, "start_offset", worldStatic)
	g.mem.Word(g.of("pcpu_chunk", chunk, "populated"), 0b1101)
	g.set("pcpu_chunk", chunk, "alloc_map", uint64(g.fresh(worldUnit/4/8)))
	g.set("pcpu_chunk", chunk, "bound_map", uint64(g.fresh(worldUnit/4/8+w)))
	g.word("pcpu_first_chunk", uint64(chunk))
	g.int32("pcpu_nr_slots", 2)
	lists := g.fresh(4 * w)
	g.word("pcpu_chunk_lists", uint64(lists))
	g.chain(lists, g.of("pcpu_chunk", chunk, "list"))
	g.chain(lists + guestmem.GVA(2*w))
	g.syms["pcpu_to_depopulate_slot"] = symbols.Symbol{Name: "pcpu_to_depopulate_slot"}
}

// ptr returns the per-CPU pointer of what is off bytes into the static area.
func (g *guest) ptr(off uint64) uint64 {
	p := g.syms["__per_cpu_start"].Addr + off
	if g.syms["__per_cpu_start"].Addr != 0 {
		p += g.slide
	}
	return p
}

func (g *guest) perCPUSym(name string, off, size uint64) {
	g.syms[name] = symbols.Symbol{Name: name, Addr: g.syms["__per_cpu_start"].Addr + off, Size: size}
}

// unit returns where a CPU's unit is.
func (g *guest) unit(cpu int) guestmem.GVA {
	return guestmem.GVA(g.a.Linux.DirectMap.Value) + 0x8_0000 + guestmem.GVA(cpu*worldUnit)
}

func (g *guest) setCurrent(cpu int, task guestmem.GVA) { g.mem.Word(g.unit(cpu)+0x10, uint64(task)) }

// task fills in a task_struct that is on no list; its stack is stack bytes
// of 8 KiB.
func (g *guest) task(at guestmem.GVA, pid uint64, comm string, stack guestmem.GVA) {
	g.set("task_struct", at, "pid", pid)
	g.set("task_struct", at, "tgid", pid)
	g.mem.Write(g.of("task_struct", at, "comm"), []byte(comm))
	g.set("task_struct", at, "stack", uint64(stack))
	sig := g.fresh(g.structs["signal_struct"].bytes)
	g.set("task_struct", at, "signal", uint64(sig))
	g.chain(g.of("signal_struct", sig, "thread_head"), g.of("task_struct", at, "thread_node"))
}

// desc returns the struct page of a frame.
func (g *guest) desc(f uint64) guestmem.GVA {
	return guestmem.GVA(g.a.Linux.Vmemmap.Value + f*g.structs["page"].bytes)
}

// pages describes RAM: all in use by the kernel but for a free block of four
// pages at frame 64, which is on a free list.
func (g *guest) pages() {
	w := uint64(g.a.WordSize)
	g.mem.Write(g.desc(0), make([]byte, (fakeRAM/4096)*g.structs["page"].bytes))
	for f := range uint64(fakeRAM / 4096) {
		g.set("page", g.desc(f), "page_type", 0xffff_ffff)
	}
	node := g.fresh(g.structs["pglist_data"].bytes)
	data := g.sym("node_data", 2*w)
	g.mem.Word(data, uint64(node))
	stride := guestmem.GVA(g.structs["zone"].bytes)
	for z := node; z < node+2*stride; z += stride {
		for o := range guestmem.GVA(11) {
			for t := range guestmem.GVA(3) {
				g.chain(g.freeList(z, o, t))
			}
		}
	}
	g.set("page", g.desc(64), "page_type", 0xffff_ff7f)
	g.set("page", g.desc(64), "private", 2)
	g.chain(g.freeList(node, 2, 1), g.of("page", g.desc(64), "lru"))
	// Lists of free pages on the CPUs: frame 70 on CPU 2, order 0, and the
	// pair at 72, order 1.
	pageset := g.structs["per_cpu_pages"]
	g.set("zone", node, "per_cpu_pageset", g.ptr(0x100))
	for _, cpu := range []int{0, 2} {
		at := g.unit(cpu) + 0x100 + guestmem.GVA(pageset.fields["lists"].Offset)
		for i := range guestmem.GVA(12) {
			g.chain(at + i*guestmem.GVA(2*w))
		}
		if cpu == 2 {
			g.chain(at, g.of("page", g.desc(70), "lru"))
			g.chain(at+guestmem.GVA(3*2*w), g.of("page", g.desc(72), "lru"))
		}
	}
}

func (g *guest) freeList(zone, order, typ guestmem.GVA) guestmem.GVA {
	area := g.of("zone", zone, "free_area") + order*guestmem.GVA(g.structs["free_area"].bytes)
	return g.of("free_area", area, "free_list") + typ*guestmem.GVA(2*g.a.WordSize)
}
