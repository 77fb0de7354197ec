package kernel

import (
	"errors"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

// entry puts entry i into the table of a frame.
func (g *guest) entry(table PFN, i int, v uint64) {
	direct := guestmem.GVA(g.a.Linux.DirectMap.Value)
	g.mem.Word(direct+guestmem.GVA(uint64(table)*4096+uint64(i*g.a.WordSize)), v)
}

func TestMarkTables(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		const present, large = 1, 2
		direct := guestmem.GVA(g.a.Linux.DirectMap.Value)
		for f := range uint64(40) {
			g.mem.Write(direct+guestmem.GVA(f*4096), make([]byte, 4096))
		}
		g.entry(20, 0, 0|large|present) // the direct map
		g.entry(20, 1, 21<<12|present)
		g.entry(20, 2, 21<<12|present)
		g.entry(20, 3, 22<<12)             // absent
		g.entry(20, 4, 65<<12|present)     // free: what a liar says
		g.entry(20, 5, fakeRAM*16|present) // outside
		g.entry(21, 0, 23<<12|present)     // a page, no table
		g.entry(24, 7, 25<<12|present)
		space, err := guestmem.NewAddressSpace(g.ram, g.a, 20<<12)
		if err != nil {
			t.Fatal(err)
		}
		mm, init := g.fresh(g.structs["mm_struct"].bytes), guestmem.GVA(g.syms["init_task"].Addr+g.slide)
		g.set("mm_struct", mm, "pgd", uint64(direct)+24<<12)
		k := g.kernel()
		p, err := k.Pages()
		if err != nil {
			t.Fatal(err)
		}
		check := func(tables ...PFN) {
			t.Helper()
			want := map[PFN]bool{}
			for _, f := range tables {
				want[f] = true
			}
			for f := range PFN(40) {
				if got := p.Class(f); (got == PageTable) != want[f] {
					t.Errorf("frame %d is %v", f, got)
				}
			}
			if got := p.Class(65); got != PageFree {
				t.Errorf("frame 65 is %v", got)
			}
		}
		tasks, err := k.Tasks()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.MarkTables(p, space, tasks); err != nil {
			t.Error(err)
		}
		check(20, 21)
		g.set("task_struct", init, "mm", uint64(mm))
		if _, err := k.MarkTables(p, space, tasks); err != nil {
			t.Error(err)
		}
		check(20, 21)
		g.a.Paging.TaskTables = true
		if _, err := k.MarkTables(p, space, tasks); err != nil {
			t.Error(err)
		}
		check(20, 21, 24, 25)
		g.a.Paging.UserRoot, g.a.Paging.UserRootSymbol = 6<<12, "isolation"
		g.entry(26, 3, 27<<12|present)
		if _, err := k.MarkTables(p, space, tasks); err != nil {
			t.Error(err)
		}
		check(20, 21, 24, 25)
		g.sym("isolation", 8)
		if _, err := k.MarkTables(p, space, tasks); err != nil {
			t.Error(err)
		}
		check(20, 21, 24, 25, 26, 27)
		// One that no task has, and tables in slabs.
		other := g.fresh(g.structs["mm_struct"].bytes)
		g.set("mm_struct", other, "pgd", uint64(direct)+28<<12)
		g.entry(28, 0, 29<<12|present)
		g.entry(28, 1, 25<<12|present) // known already
		for _, f := range []PFN{21, 29} {
			g.set("page", g.desc(uint64(f)), "flags", 1<<9)
		}
		if p, err = k.Pages(); err != nil {
			t.Fatal(err)
		}
		if _, err := k.MarkTables(p, space, tasks); err != nil {
			t.Error(err)
		}
		check(20, 24, 25, 26, 27)
		if got := k.MarkTablesOf(p, space, other); len(got) != 1 || got[0] != direct+29<<12 {
			t.Errorf("tables in slabs %#x", got)
		}
		check(20, 24, 25, 26, 27, 28)
		for f, want := range map[PFN]bool{20: false, 21: true, 29: false} {
			if at := direct + guestmem.GVA(f<<12); p.IsTable(at) != want || p.IsTable(at+8) {
				t.Errorf("frame %d is a table in a slab: %v", f, p.IsTable(at))
			}
		}
		g.set("mm_struct", mm, "pgd", uint64(direct)+0x20_0000*9)
		if _, err := k.MarkTables(p, space, tasks); !errors.Is(err, guestmem.ErrUnreadable) {
			t.Errorf("tables that are not mapped: %v", err)
		}
	})
}

// Some kernels have each page's address in its descriptor.
func TestNames(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		p, err := g.kernel().Pages()
		if err != nil || p.Names(PageRange{Start: 3, End: 5}) != nil {
			t.Fatalf("%v, %v", p.Names(PageRange{Start: 3, End: 5}), err)
		}
		g.structs["page"].fields["virtual"] = g.structs["page"].fields["index"]
		if p, err = g.kernel().Pages(); err != nil {
			t.Fatal(err)
		}
		got := p.Names(PageRange{Start: 3, End: 5})
		if len(got) != 2 || got[0] != from(g.of("page", g.desc(3), "index"), uint64(g.a.WordSize)) || got[1].Start != g.of("page", g.desc(4), "index") {
			t.Errorf("%#x", got)
		}
	})
}
