package leak

import (
	"maps"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/scanner"
)

// A request (0) holds a vmalloc block (1), which holds its descriptor (2), by
// which its array of pages (3) hangs on the block; the descriptor is not told.
// A block of its own (4) and its descriptor (5) are no cycle.
func TestPlaces(t *testing.T) {
	p := &picture{descriptors: map[guestmem.GVA]bool{0x3000: true, 0x6000: true}}
	for i := range 6 {
		p.objects = append(p.objects, object{Object: hooks.Object{Addr: guestmem.GVA(0x1000 * (i + 1)), Size: 1 << i}})
	}
	res := &scanner.Result{Leaks: []scanner.Leak{
		{Object: 0, Bytes: 15, Children: []scanner.Child{{Object: 1, Parent: 0}, {Object: 2, Parent: 1}, {Object: 3, Parent: 2}}},
		{Object: 4, Cycle: true, Bytes: 48, Children: []scanner.Child{{Object: 5, Parent: 4}}},
	}}
	want := map[int]place{
		0: {direct: true, objects: 3, bytes: 11},
		1: {root: 0, parent: 0},
		3: {root: 0, parent: 1},
		4: {direct: true, objects: 1, bytes: 16},
	}
	if got := p.places(res); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := byLeak(res); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5}) {
		t.Errorf("order %v", got)
	}
}
