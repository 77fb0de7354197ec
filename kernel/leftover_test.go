package kernel

import (
	"errors"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

func TestLeftovers(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		w := uint64(g.a.WordSize)
		g.def("napi_alloc_cache", "page:w", "skb_count:4", "skb_cache:w*8")
		g.def("llist_head", "first:w")
		g.def("kfree_rcu_cpu", "nr_bkv_objs:4", "bkvcache:llist_head")
		g.perCPUSym("napi_alloc_cache", 0x200, 10*w)
		g.perCPUSym("krc", 0x280, 4*w)
		page := func(n int) guestmem.GVA {
			return guestmem.GVA(g.a.Linux.DirectMap.Value) + guestmem.GVA(20+n)*4096
		}
		cpus, err := g.kernel().CPUs()
		if err != nil {
			t.Fatal(err)
		}
		for i, count := range []uint64{3, 8, 0} {
			if i < len(cpus) {
				g.set("napi_alloc_cache", g.unit(cpus[i].ID)+0x200, "skb_count", count)
			}
		}
		first := g.of("kfree_rcu_cpu", g.unit(cpus[0].ID)+0x280, "bkvcache.first")
		g.mem.Word(first, uint64(page(0)))
		g.mem.Word(page(0), uint64(page(2)))
		g.mem.Word(page(2), 0)

		got, err := g.kernel().Leftovers()
		if err != nil {
			t.Fatal(err)
		}
		array := func(cpu int) guestmem.GVA {
			return g.of("napi_alloc_cache", g.unit(cpus[cpu].ID)+0x200, "skb_cache")
		}
		for _, want := range []guestmem.Range[guestmem.GVA]{
			from(array(0)+guestmem.GVA(3*w), 5*w), from(array(1)+guestmem.GVA(8*w), 0),
			from(page(0)+guestmem.GVA(w), 4096-w), from(page(2)+guestmem.GVA(w), 4096-w),
		} {
			if !slices.Contains(got, want) {
				t.Errorf("%#x is not in %#x", want, got)
			}
		}

		g.mem.Word(page(2), uint64(page(0))) // the list leads back
		if _, err := g.kernel().Leftovers(); !errors.Is(err, ErrInconsistent) {
			t.Errorf("a cycle: %v", err)
		}
		g.mem.Word(first, 0)
		g.set("napi_alloc_cache", g.unit(cpus[0].ID)+0x200, "skb_count", 9)
		if _, err := g.kernel().Leftovers(); !errors.Is(err, ErrInconsistent) {
			t.Errorf("more than all: %v", err)
		}
	})
}

// TestNoLeftovers: a kernel without any of it.
func TestNoLeftovers(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		if got, err := g.kernel().Leftovers(); err != nil || len(got) != 0 {
			t.Errorf("%#x, %v", got, err)
		}
	})
}
