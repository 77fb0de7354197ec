package kernel

import (
	"errors"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// kfence makes a pool of three objects at frame 100, the second of them
// allocated at the end of its page, and the third freed.
func (g *guest) kfence(pointer bool) (pool, meta guestmem.GVA) {
	w := uint64(g.a.WordSize)
	g.def("kfence_metadata", "list:list_head", "state:4", "addr:w", "size:w", "cache:w", "unprotected_page:w")
	g.consts["KFENCE_OBJECT_ALLOCATED"] = 1
	pool = guestmem.GVA(g.a.Linux.DirectMap.Value) + 100*4096
	g.word("__kfence_pool", uint64(pool))
	stride := g.structs["kfence_metadata"].bytes
	if pointer {
		meta = g.fresh(4 * stride) // as allocated: nothing says how many
		g.word("kfence_metadata", uint64(meta))
	} else {
		meta = g.sym("kfence_metadata", 3*stride)
	}
	for i := range guestmem.GVA(3) {
		g.set("kfence_metadata", meta+i*guestmem.GVA(stride), "addr", uint64(pool+(i+1)*0x2000))
	}
	second := meta + guestmem.GVA(stride)
	g.set("kfence_metadata", second, "addr", uint64(pool+0x4000+0x1000-40))
	g.set("kfence_metadata", second, "size", 40)
	g.set("kfence_metadata", second, "state", 1)
	g.set("kfence_metadata", second, "cache", 0x1234<<w)
	g.set("kfence_metadata", second+guestmem.GVA(stride), "state", 2)
	return pool, meta
}

func TestKFENCE(t *testing.T) {
	for _, pointer := range []bool{false, true} { // until and since 6.6
		each(t, func(t *testing.T, g *guest) {
			pool, meta := g.kfence(pointer)
			k := g.kernel()
			p, err := k.Pages()
			if err != nil {
				t.Fatal(err)
			}
			f := p.KFENCE
			if want := (guestmem.Range[guestmem.GVA]{Start: pool, End: pool + 0x8000}); f.Pool != want {
				t.Errorf("pool %#x, want %#x", f.Pool, want)
			}
			want := []KFENCEObject{{Addr: pool + 0x4fd8, Size: 40, Cache: 0x1234 << guestmem.GVA(g.a.WordSize)}}
			if !reflect.DeepEqual(f.Objects, want) {
				t.Errorf("objects %+v, want %+v", f.Objects, want)
			}
			if len(f.Words) != 6 || f.Words[0].Start != g.of("kfence_metadata", meta, "addr") || f.Words[0].Size() != uint64(g.a.WordSize) {
				t.Errorf("words %#x", f.Words)
			}
			for f, c := range map[PFN]PageClass{99: PageKernel, 100: PageKFENCE, 107: PageKFENCE, 108: PageKernel} {
				if got := p.Class(f); got != c {
					t.Errorf("frame %d is %v, want %v", f, got, c)
				}
			}
		})
	}
}

func TestKFENCEOff(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		_, meta := g.kfence(true)
		g.set("kfence_metadata", meta, "addr", 0) // not set up yet
		if f, err := g.kernel().KFENCE(); err != nil || f.Pool.Size() != 0 || len(f.Objects) != 0 {
			t.Errorf("before KFENCE is set up: %+v, %v", f, err)
		}
		g.word("__kfence_pool", 0)
		if f, err := g.kernel().KFENCE(); err != nil || f.Pool.Size() != 0 {
			t.Errorf("without a pool: %+v, %v", f, err)
		}
	})
}

func TestKFENCELies(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		_, meta := g.kfence(false)
		second := meta + guestmem.GVA(g.structs["kfence_metadata"].bytes)
		g.set("kfence_metadata", second, "size", 41)
		if _, err := g.kernel().KFENCE(); !errors.Is(err, ErrInconsistent) {
			t.Errorf("an object beyond its page: %v", err)
		}
		g.word("__kfence_pool", ^uint64(0)) // addresses wrap around
		if f, err := g.kernel().KFENCE(); err != nil || f.Pool.Size() != 0 {
			t.Errorf("a pool at the end of memory: %+v, %v", f, err)
		}
	})
}

func TestBookkeeping(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		if got, err := g.kernel().Bookkeeping(); err != nil || len(got) != 0 {
			t.Errorf("without debugging tools: %#x, %v", got, err)
		}
		g.def("kmemleak_object", "pointer:w", "rcu:list_head", "use_count:w")
		g.sym("kmemleak_alloc", 8)
		record := g.structs["kmemleak_object"].bytes
		pool := g.sym("mem_pool", 2*record)
		g.def("handle_parts", "index:4", "offset:4")
		g.structs["handle_parts"].fields["offset"] = symbols.Field{Size: 4, BitOffset: 17, BitSize: 10}
		w := guestmem.GVA(g.a.WordSize)
		depot := g.sym("stack_pools", uint64(4*w))
		g.set("kmemleak_object", pool, "use_count", 1)
		g.mem.Word(depot, 0x8000_4000)
		g.mem.Word(depot+w, 0x8000_c000)
		want := []guestmem.Range[guestmem.GVA]{
			{Start: pool, End: pool + 4*w}, // in use
			{Start: pool + 4*w, End: pool + 5*w}, {Start: pool + 7*w, End: pool + 8*w},
			{Start: 0x8000_4000, End: 0x8000_8000}, {Start: 0x8000_c000, End: 0x8001_0000},
		}
		if got, err := g.kernel().Bookkeeping(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%#x, %v, want %#x", got, err, want)
		}
		g.mem.Word(depot+w, 0x8000_c008)
		if _, err := g.kernel().Bookkeeping(); !errors.Is(err, ErrInconsistent) {
			t.Errorf("a pool within a page: %v", err)
		}
		// Another variable of that name.
		g.sym("mem_pool", 2*record+1)
		g.mem.Word(depot, 0)
		if got, err := g.kernel().Bookkeeping(); err != nil || len(got) != 0 {
			t.Errorf("%#x, %v", got, err)
		}
	})
	each(t, func(t *testing.T, g *guest) {
		g.def("kmemleak_object", "pointer:w", "rcu:list_head", "use_count:w")
		g.sym("kmemleak_alloc", 8)
		w := uint64(g.a.WordSize)
		record := g.fresh(4 * w)
		if link, ok := g.kernel().Link(&Cache{Name: "kmemleak_object"}, record); !ok || link.Start != record+guestmem.GVA(w) || link.Size() != 2*w {
			t.Errorf("link at %#x, %v", link, ok)
		}
		g.set("kmemleak_object", record, "use_count", 1)
		if _, ok := g.kernel().Link(&Cache{Name: "kmemleak_object"}, record); ok {
			t.Error("a record in use waits for nothing")
		}
		if _, ok := g.kernel().Link(&Cache{Name: "debug_objects_cache"}, record); ok {
			t.Error("records of DEBUG_OBJECTS chain nothing")
		}
	})
	if !Bookkeeping("kmemleak_object") || Bookkeeping("kmalloc-64") {
		t.Error("which caches are bookkeeping is wrong")
	}
}
