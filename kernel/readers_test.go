package kernel

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
)

func TestCPUsAndAreas(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		k := g.kernel()
		// Three allocations: 4 bytes, 8 right behind them, 16 later.
		chunk := guestmem.GVA(mustWord(t, k, "pcpu_first_chunk"))
		alloc := guestmem.GVA(mustMember(t, g, "pcpu_chunk", chunk, "alloc_map"))
		bound := guestmem.GVA(mustMember(t, g, "pcpu_chunk", chunk, "bound_map"))
		first := guestmem.GVA(worldStatic / 4 / 8) // byte in the maps; bit 0 of a word
		g.mem.Word(alloc+first, 0b1111_0000_0111)  // words start there
		g.mem.Word(bound+first, 1<<0|1<<1|1<<3|1<<8|1<<12)

		cpus, err := k.CPUs()
		if err != nil || len(cpus) != 2 || cpus[0].ID != 0 || cpus[1].ID != 2 {
			t.Fatalf("CPUs %+v, %v", cpus, err)
		}
		a, err := k.PerCPUAreas()
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Chunks) != 1 || !a.Chunks[0].First {
			t.Fatalf("chunks %+v", a.Chunks)
		}
		c := &a.Chunks[0]
		if want := []guestmem.Range[uint64]{{Start: 0, End: 0x1000}, {Start: 0x2000, End: 0x4000}}; !equal(c.Populated, want) {
			t.Errorf("populated %x", c.Populated)
		}
		s := uint64(worldStatic)
		if want := []guestmem.Range[uint64]{{Start: s, End: s + 4}, {Start: s + 4, End: s + 12}, {Start: s + 32, End: s + 48}}; !equal(c.Allocated, want) {
			t.Errorf("allocated %x, want %x", c.Allocated, want)
		}
		if got, want := a.Static(1), from(g.unit(2), worldStatic); got != want {
			t.Errorf("static area of CPU 2 at %x, want %x", got, want)
		}
		if got, want := a.Copy(1, a.Ptr(c, s+4)), g.unit(2)+worldStatic+4; got != want {
			t.Errorf("copy at %#x, want %#x", uint64(got), uint64(want))
		}
	})
}

// Without SMP there is one CPU, whose pointers are addresses.
func TestAreasOfOneCPU(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		for _, name := range []string{"__per_cpu_offset", "__per_cpu_start", "__per_cpu_end", "__cpu_possible_mask"} {
			delete(g.syms, name)
		}
		a, err := g.kernel().PerCPUAreas()
		if err != nil {
			t.Fatal(err)
		}
		if len(a.CPUs) != 1 || a.StaticSize != 0 || len(a.Chunks) != 1 {
			t.Fatalf("areas %+v", a)
		}
		at := a.Chunks[0].Base + 0x2010
		if ptr := a.Ptr(&a.Chunks[0], 0x2010); ptr != uint64(at) || a.Copy(0, ptr) != at {
			t.Errorf("pointer %#x to the copy at %#x, want %#x", ptr, uint64(a.Copy(0, ptr)), uint64(at))
		}
	})
}

func equal(a, b []guestmem.Range[uint64]) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func mustWord(t *testing.T, k *Kernel, name string) uint64 {
	t.Helper()
	v, err := k.word(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustMember(t *testing.T, g *guest, name string, at guestmem.GVA, path string) uint64 {
	t.Helper()
	r := guestmem.Reader{Memory: g.mem, Arch: g.a}
	v, err := r.Uint(g.of(name, at, path), int(g.structs[name].fields[path].Size))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTasksAndStacks(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		init := guestmem.GVA(g.syms["init_task"].Addr + g.slide)
		stacks := guestmem.GVA(roundUp(uint64(g.next), 8192)) // of 8 KiB each
		g.next = stacks + 8*8192
		g.mem.Write(stacks, make([]byte, 8*8192))
		stack := func(i int) guestmem.GVA { return stacks + guestmem.GVA(i*8192) }
		g.set("task_struct", init, "stack", uint64(stack(0)))
		size := g.structs["task_struct"].bytes
		var at []guestmem.GVA
		for i, comm := range []string{"leader", "thread", "kworker", "idle2", "dying"} {
			a := g.fresh(size)
			g.task(a, uint64(10+i), comm, stack(i+1))
			g.set("task_struct", a, "thread.sp", uint64(stack(i+1)+0x1000))
			at = append(at, a)
		}
		leader, thread, kthread, idle, dying := at[0], at[1], at[2], at[3], at[4]
		g.set("task_struct", kthread, "flags", 0x0020_0000)
		g.set("task_struct", idle, "pid", 0)
		tasks := func(a guestmem.GVA) guestmem.GVA { return g.of("task_struct", a, "tasks") }
		g.chain(tasks(init), tasks(leader), tasks(kthread))
		sig := guestmem.GVA(mustMember(t, g, "task_struct", leader, "signal"))
		g.chain(g.of("signal_struct", sig, "thread_head"), g.of("task_struct", leader, "thread_node"), g.of("task_struct", thread, "thread_node"))
		g.mem.Word(g.unit(0)+0x20, uint64(init))
		g.mem.Word(g.unit(2)+0x20, uint64(idle))
		g.setCurrent(0, thread)
		g.setCurrent(2, dying)

		k := g.kernel()
		all, err := k.Tasks()
		if err != nil {
			t.Fatal(err)
		}
		by := map[string]*Task{}
		for _, x := range all {
			by[x.Comm] = x
		}
		if len(all) != 6 || len(by) != 6 {
			t.Fatalf("%d tasks: %v", len(all), by)
		}
		if x := by["kworker"]; !x.Kthread || x.CPU != -1 || x.PID != 12 || x.SavedSP != stack(3)+0x1000 || x.Stack != from(stack(3), 8192) {
			t.Errorf("kworker %+v", x)
		}
		if !by["swapper/0"].Idle || !by["idle2"].Idle || by["leader"].Idle || by["thread"].CPU != 0 || by["dying"].CPU != 2 {
			t.Errorf("idle or running: %+v", by)
		}

		cpus, _ := k.CPUs()
		live, err := k.Stacks(all, []map[string]uint64{
			{"base": cpus[1].Offset, "sp": 0x7000, "pc": 0x400000}, // in user mode
			{"base": cpus[0].Offset, "sp": uint64(stack(2) + 0x1800), "pc": g.a.Linux.Text + 4096},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]guestmem.GVA{"leader": stack(1) + 0x1000, "thread": stack(2) + 0x1800, "kworker": stack(3) + 0x1000, "dying": stack(6), "swapper/0": stack(0)}
		for _, l := range live {
			if w, ok := want[l.Task.Comm]; ok && l.Range.Start != w {
				t.Errorf("%s starts at %#x, want %#x", l.Name, uint64(l.Range.Start), uint64(w))
			}
			// swapper/0 has no stack pointer that makes sense.
			if l.Whole != (l.Task.Comm == "swapper/0") {
				t.Errorf("%s: whole is %v", l.Name, l.Whole)
			}
		}

		// On a stack that grows upward what is in use lies below.
		g.a.Call.StackUp, g.a.Linux.SwitchedSize = true, 0x40
		live, err = k.Stacks(all, []map[string]uint64{
			{"base": cpus[0].Offset, "sp": uint64(stack(2) + 0x1800), "pc": g.a.Linux.Text + 4096},
		})
		if err != nil {
			t.Fatal(err)
		}
		want = map[string]guestmem.GVA{"leader": stack(1) + 0x1040, "thread": stack(2) + 0x1800, "kworker": stack(3) + 0x1040, "swapper/0": stack(1)}
		for _, l := range live {
			if w, ok := want[l.Task.Comm]; ok && (l.Range.End != w || l.Range.Start != l.Task.Stack.Start) {
				t.Errorf("%s is %x, want its end to be %#x", l.Name, l.Range, uint64(w))
			}
		}
	})
}

func TestPages(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		g.set("page", g.desc(1), "flags", 1<<12)
		g.set("page", g.desc(2), "flags", 1<<9)                   // slab, a compound page
		g.set("page", g.desc(3), "lru.next", uint64(g.desc(2))+1) // its tail
		g.set("page", g.desc(4), "mapping", uint64(g.next)+1)     // anonymous
		g.set("page", g.desc(5), "flags", 1<<4)                   // on a list of user pages
		// The tail of a free block may have stale content.
		g.set("page", g.desc(66), "mapping", 1234)
		g.set("page", g.desc(66), "flags", 1<<12)
		p, err := g.kernel().Pages()
		if err != nil {
			t.Fatal(err)
		}
		want := map[PFN]PageClass{0: PageKernel, 1: PageReserved, 2: PageSlab, 3: PageSlab, 4: PageUser, 5: PageUser, 6: PageKernel,
			64: PageFree, 65: PageFree, 66: PageFree, 67: PageFree, 68: PageKernel, 70: PageFree, 71: PageKernel, 72: PageFree, 73: PageFree, 74: PageKernel, 255: PageKernel, 256: PageUnknown}
		for f, c := range want {
			if got := p.Class(f); got != c {
				t.Errorf("frame %d is %v, want %v", f, got, c)
			}
		}
		if p.Buddy != 4 || p.PerCPU != 3 {
			t.Errorf("%d free in the buddy allocator, %d on CPUs", p.Buddy, p.PerCPU)
		}
		n := PFN(0)
		p.Each(func(r PageRange) bool {
			if r.Start != n {
				t.Errorf("range at %d instead of %d", r.Start, n)
			}
			n = r.End
			return true
		})
		if n != 256 {
			t.Errorf("ranges end at %d", n)
		}
	})
}

func TestPageTypeNumbers(t *testing.T) {
	each(t, func(t *testing.T, g *guest) { // as since 6.12
		delete(g.consts, "PG_slab")
		for name, v := range map[string]int64{"buddy": 0xf0, "slab": 0xf5, "table": 0xf2, "offline": 0xf1} {
			g.consts["PGTY_"+name] = v
		}
		g.structs["slab"].fields["__page_type"] = g.structs["slab"].fields["__unused"]
		g.set("page", g.desc(64), "page_type", 0xf000_0000)
		g.set("page", g.desc(9), "page_type", 0xf500_0000)
		g.set("page", g.desc(10), "page_type", 0xf200_0000)
		g.set("page", g.desc(11), "page_type", 0xf100_0000)
		p, err := g.kernel().Pages()
		if err != nil {
			t.Fatal(err)
		}
		for f, c := range map[PFN]PageClass{9: PageSlab, 10: PageTable, 11: PageSpecial, 12: PageKernel, 67: PageFree, 68: PageKernel} {
			if got := p.Class(f); got != c {
				t.Errorf("frame %d is %v, want %v", f, got, c)
			}
		}
	})
}

func TestVmapMemblockTime(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		va, ram, vm := g.fresh(g.structs["vmap_area"].bytes), g.fresh(g.structs["vmap_area"].bytes), g.fresh(g.structs["vm_struct"].bytes)
		head := guestmem.GVA(g.syms["vmap_area_list"].Addr + g.slide)
		g.chain(head, g.of("vmap_area", va, "list"), g.of("vmap_area", ram, "list"))
		for i, a := range []guestmem.GVA{va, ram} {
			g.set("vmap_area", a, "va_start", 0x9000_0000+uint64(i)<<20)
			g.set("vmap_area", a, "va_end", 0x9000_3000+uint64(i)<<20)
		}
		g.set("vmap_area", va, "vm", uint64(vm))
		g.set("vm_struct", vm, "addr", 0x9000_0000)
		g.set("vm_struct", vm, "nr_pages", 2)
		k := g.kernel()
		areas, err := k.VmapAreas()
		if err != nil || len(areas) != 2 {
			t.Fatalf("%d areas, %v", len(areas), err)
		}
		a := areas[0]
		if a.VM == nil || a.VM.Start != 0x9000_0000 || a.VM.NrPages != 2 || areas[1].VM != nil {
			t.Errorf("areas %+v", areas)
		}
		if a.Words[0] != from(g.of("vmap_area", va, "va_start"), uint64(g.a.WordSize)) || a.VM.AddrWord.Start != g.of("vm_struct", vm, "addr") || a.Link.Start != g.of("vmap_area", va, "vm") {
			t.Errorf("words of the area: %+v", a)
		}

		mb, err := k.Memblock()
		if err != nil || len(mb.Memory) != 1 || mb.Reserved[0] != (guestmem.Range[guestmem.GPA]{Start: 0x1000, End: 0x3000}) {
			t.Errorf("memblock %+v, %v", mb, err)
		}
		up, err := k.Uptime()
		if err != nil || up != 10500*time.Millisecond {
			t.Errorf("uptime %v, %v", up, err)
		}
		release, version, err := k.Uname()
		if err != nil || release != "6.1.0-fake" || version != "#1 SMP" {
			t.Errorf("uname %q %q %v", release, version, err)
		}
	})
}

func TestMemblockDiscarded(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		at := g.syms["memblock"]
		g.syms["__init_begin"], g.syms["__init_end"] = at, at
		end := at
		end.Addr += 4096
		g.syms["__init_end"] = end
		g.mem.Uint(guestmem.GVA(g.syms["system_state"].Addr+g.slide), 4, 3)
		if _, err := g.kernel().Memblock(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("a freed memblock was read: %v", err)
		}
	})
}

func TestMissing(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		delete(g.structs["task_struct"].fields, "comm")
		delete(g.structs, "zone")
		delete(g.syms, "jiffies_64")
		_, err := newKernel(g.mem, g.ram, g, 0)
		var missing *MissingError
		if !errors.As(err, &missing) {
			t.Fatalf("error %v", err)
		}
		for _, want := range []string{"task_struct.comm", "struct zone", "jiffies_64"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not name %s", err, want)
			}
		}
	})
}
