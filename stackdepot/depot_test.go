package stackdepot

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

func TestDepot(t *testing.T) {
	d := New()
	a := []guestmem.GVA{1, 2, 3}
	id := d.Intern(a)
	a[0] = 9 // the depot has its own copy
	if got := d.Get(id); !slices.Equal(got, []guestmem.GVA{1, 2, 3}) {
		t.Fatalf("got %v", got)
	}
	if d.Intern([]guestmem.GVA{1, 2, 3}) != id || d.Intern([]guestmem.GVA{1, 2}) == id || d.Intern(nil) == id {
		t.Error("identity is not equality")
	}
	if d.Len() != 3 || d.Get(77) != nil {
		t.Errorf("%d backtraces, Get(77) = %v", d.Len(), d.Get(77))
	}
}

func TestDepotMany(t *testing.T) {
	d := New()
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[uint32][]guestmem.GVA{}
	for range 20000 {
		pcs := make([]guestmem.GVA, rng.IntN(4))
		for i := range pcs {
			pcs[i] = guestmem.GVA(rng.IntN(16))
		}
		id := d.Intern(pcs)
		if old, ok := want[id]; ok && !slices.Equal(old, pcs) {
			t.Fatalf("%v and %v are both %d", old, pcs, id)
		}
		want[id] = pcs
	}
	if len(want) != d.Len() || d.Len() < 1+16+256+1000 {
		t.Errorf("%d backtraces, %d numbers", d.Len(), len(want))
	}
	// Collisions of the hash must not matter.
	c := &Depot{index: map[uint64]uint32{}}
	x, y := c.Intern([]guestmem.GVA{1}), c.Intern([]guestmem.GVA{2})
	c.index[hash([]guestmem.GVA{1})] = y
	c.list[y].next = x
	if c.Intern([]guestmem.GVA{1}) != x {
		t.Error("a chained backtrace was not found")
	}
}

func BenchmarkIntern(b *testing.B) {
	d := New()
	pcs := make([]guestmem.GVA, 16)
	for i := range b.N {
		pcs[7] = guestmem.GVA(i % 4096)
		d.Intern(pcs)
	}
}
