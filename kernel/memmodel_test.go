package kernel

import (
	"errors"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// learned makes a kernel reader whose row does not say where the direct map
// and the page descriptors are.
func (g *guest) learned() *Kernel {
	a := *g.a
	a.Linux.DirectMap, a.Linux.Vmemmap = nil, nil
	row := g.a
	g.a = &a
	k := g.kernel()
	g.a = row
	return k
}

func TestMemoryModels(t *testing.T) {
	sparse := func(g *guest, extreme bool) {
		w := uint64(g.a.WordSize)
		g.def("mem_section", "section_mem_map:w", "usage:w", "x:w*2")
		size := g.structs["mem_section"].bytes
		sections, at := g.sym("mem_section", 4*size), guestmem.GVA(0)
		if extreme {
			roots := g.fresh(8 * w)
			at = g.fresh(4096)
			g.word("mem_section", uint64(roots))
			g.mem.Write(roots, make([]byte, 8*w))
			g.mem.Word(roots+guestmem.GVA(2*w), uint64(at)) // the first roots are empty
			g.mem.Write(at, make([]byte, 4096))
		} else {
			at = sections
			g.mem.Write(at, make([]byte, 4*size))
		}
		g.set("mem_section", at+guestmem.GVA(size), "section_mem_map", g.a.Linux.Vmemmap.Value|7)
		g.set("mem_section", at, "section_mem_map", 0xdead_0001) // has no map
	}
	for name, prepare := range map[string]func(*guest){
		"flat": func(g *guest) {
			g.def("pglist_data", "node_zones:zone*2", "node_mem_map:w", "node_start_pfn:w")
			node := g.sym("contig_page_data", g.structs["pglist_data"].bytes)
			g.set("pglist_data", node, "node_start_pfn", 16)
			g.set("pglist_data", node, "node_mem_map", uint64(g.desc(16)))
		},
		"sparse":         func(g *guest) { sparse(g, false) },
		"sparse extreme": func(g *guest) { sparse(g, true) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, g *guest) {
				prepare(g)
				// The map ends in the middle of RAM, as with high memory.
				g.word("high_memory", g.a.Linux.DirectMap.Value+fakeRAM/2-1)
				g.word("max_low_pfn", fakeRAM/2/4096)
				m, err := g.learned().memoryMap()
				if err != nil {
					t.Fatal(err)
				}
				if uint64(m.direct) != g.a.Linux.DirectMap.Value || m.desc(64) != g.desc(64) {
					t.Errorf("direct map at %#x, descriptors at %#x", uint64(m.direct), uint64(m.vmemmap))
				}
				for _, f := range []PFN{0, 100, 130, 255} {
					a := m.pageAddr(f)
					if got, ok := m.frameOf(a); !ok || got != f {
						t.Errorf("frame %d is at %#x, which is frame %d, %v", f, uint64(a), got, ok)
					}
					if high := g.a.WordSize == 4 && f >= 128; high != (a == guestmem.PhysicalWindow+guestmem.GVA(f)*4096) {
						t.Errorf("frame %d is at %#x", f, uint64(a))
					}
				}
				if _, ok := m.frameOf(guestmem.GVA(g.a.Linux.DirectMap.Value) - 4096); ok {
					t.Error("there is a frame below the direct map")
				}
			})
		})
	}
}

func TestMemoryModelNotKnown(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		g.word("high_memory", 0)
		g.word("max_low_pfn", 0)
		if _, err := g.learned().Pages(); !errors.Is(err, ErrInconsistent) {
			t.Errorf("before the map is made: %v", err)
		}
		g.word("high_memory", g.a.Linux.DirectMap.Value+fakeRAM)
		g.word("max_low_pfn", fakeRAM/4096)
		if _, err := g.learned().Pages(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("without a memory model: %v", err)
		}
	})
}

func TestEventContextRegister(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		a := *g.a
		a.Linux.Current = "current"
		g.a = &a
		delete(g.syms, "__preempt_count")
		c, err := newEventContext(g, g.slide)
		if err != nil {
			t.Fatal(err)
		}
		task := g.fresh(g.structs["task_struct"].bytes)
		g.task(task, 4711, "in-a-register", 0)
		got, err := c.Decode(g.fetch(c.Fetches, uint64(task)))
		if err != nil || got.PID != 4711 || got.Comm != "in-a-register" || got.Task != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		a.Linux.Current, a.Linux.CurrentIn = "", &arch.Member{Register: "base", Struct: "cpu_local", Member: "task"}
		g.def("cpu_local", "x:w", "task:w", "preempt_count:4")
		if c, err = newEventContext(g, g.slide); err != nil {
			t.Fatal(err)
		}
		local := g.fresh(g.structs["cpu_local"].bytes)
		g.set("cpu_local", local, "task", uint64(task))
		g.set("cpu_local", local, "preempt_count", 0x0001_0000)
		got, err = c.Decode(g.fetch(c.Fetches, uint64(local)))
		if err != nil || got.PID != 4711 || got.Task != task {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
