package leak

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/scanner"
)

// heap is memory from address heapStart on.
type heap []byte

const heapStart = 0x10000

func (h heap) View(a guestmem.GVA, n int) ([]byte, error) {
	if a < heapStart || uint64(a-heapStart) >= uint64(len(h)) {
		return nil, &guestmem.AddressError{Addr: uint64(a), Reason: "not in the heap"}
	}
	b := h[a-heapStart:]
	return b[:min(n, len(b))], nil
}

const slot = 32 // bytes of an object

// newHeap returns n objects of 32 bytes; pointers are from an object, or from
// the root where it is negative, to another.
func newHeap(n int, pointers [][2]int) *scanner.Input {
	const words = slot / 8
	mem := make(heap, (n+1)*slot)
	in := &scanner.Input{WordSize: 8, Order: binary.LittleEndian, Memory: mem}
	for i := range n {
		in.Objects = append(in.Objects, scanner.Object{Addr: guestmem.GVA(heapStart + i*slot), Size: slot})
	}
	roots := []uint64{}
	used := make([]int, n)
	for _, p := range pointers {
		to := uint64(heapStart + p[1]*slot)
		if p[0] < 0 {
			roots = append(roots, to)
		} else if used[p[0]] < words {
			binary.LittleEndian.PutUint64(mem[p[0]*slot+8*used[p[0]]:], to)
			used[p[0]]++
		}
	}
	in.Roots = []scanner.Root{{Name: "root", Words: roots}}
	return in
}

func scanOf(t *testing.T, in *scanner.Input) *scanner.Result {
	t.Helper()
	res, err := scanner.Scan(context.Background(), in, &scanner.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// ignores are the odd rules.
func ignores(rule int) bool { return rule%2 == 1 }

func orphans(res *scanner.Result) (out []int) {
	for i, s := range res.States {
		if s == scanner.Orphan {
			out = append(out, i)
		}
	}
	return out
}

func TestCover(t *testing.T) {
	chain := [][2]int{{0, 1}, {1, 2}, {2, 3}}
	for _, c := range []struct {
		name     string
		n        int
		pointers [][2]int
		covers   map[int]int // object: rule
		hidden   map[int]int
		left     []int
	}{
		{"nothing matches", 4, chain, nil, map[int]int{}, []int{0, 1, 2, 3}},
		{"the whole chain", 4, chain, map[int]int{0: 0}, map[int]int{0: 0, 1: 0, 2: 0, 3: 0}, nil},
		{"its end", 4, chain, map[int]int{2: 0}, map[int]int{2: 0, 3: 0}, []int{0, 1}},
		{"ignored, what hangs on it is not", 4, chain, map[int]int{1: 1}, map[int]int{1: 1}, []int{0, 2, 3}},
		{"the first rule counts", 4, chain, map[int]int{0: 2, 2: 0}, map[int]int{0: 2, 1: 2, 2: 0, 3: 0}, nil},
		{"a later rule hides nothing more", 4, chain, map[int]int{0: 0, 2: 2}, map[int]int{0: 0, 1: 0, 2: 0, 3: 0}, nil},
		{"ignored in between", 4, chain, map[int]int{0: 2, 1: 1}, map[int]int{0: 2, 1: 1}, []int{2, 3}},
		{"a cycle", 3, [][2]int{{0, 1}, {1, 2}, {2, 0}}, map[int]int{1: 0}, map[int]int{0: 0, 1: 0, 2: 0}, nil},
		{"reachable anyway", 4, append([][2]int{{-1, 0}}, chain...), map[int]int{0: 0, 1: 1}, map[int]int{}, nil},
		{"beside a reachable one", 3, [][2]int{{-1, 1}, {0, 1}, {0, 2}}, map[int]int{0: 0}, map[int]int{0: 0, 2: 0}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := newHeap(c.n, c.pointers)
			res := scanOf(t, in)
			hidden, err := cover(context.Background(), in, res, c.covers, ignores)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(hidden, c.hidden) {
				t.Errorf("hidden %v, want %v", hidden, c.hidden)
			}
			if got := orphans(res); !slices.Equal(got, c.left) {
				t.Errorf("orphans %v, want %v", got, c.left)
			}
		})
	}
}

// What is left is what a scan finds for which the covered objects are roots.
func TestCoverIsAScanWithRoots(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 1 + rng.IntN(40)
		var pointers [][2]int
		for range rng.IntN(60) {
			pointers = append(pointers, [2]int{rng.IntN(n+3) - 3, rng.IntN(n)})
		}
		covers := map[int]int{}
		for range rng.IntN(6) {
			covers[rng.IntN(n)] = 2 * rng.IntN(3)
		}
		in := newHeap(n, pointers)
		res, before := scanOf(t, in), scanOf(t, in)
		hidden, err := cover(context.Background(), in, res, covers, ignores)
		if err != nil {
			t.Fatal(err)
		}
		for i := range covers {
			in.Objects[i].Flag |= scanner.Gray
		}
		want := scanOf(t, in)
		fail := func(what string, got, want any) {
			t.Fatalf("seed %d, pointers %v, covers %v: %s: %v, want %v", seed, pointers, covers, what, got, want)
		}
		if got, want := orphans(res), orphans(want); !slices.Equal(got, want) {
			fail("orphans", got, want)
		}
		if got, want := len(hidden), len(orphans(before))-len(orphans(want)); got != want {
			fail("hidden", got, want)
		}
		if got, want := leaks(res), leaks(want); !slices.Equal(got, want) {
			fail("leaks", got, want)
		}
	}
}

// leaks describes leaks without the order of those of one size, and without
// the way to each child, of which there can be several.
func leaks(res *scanner.Result) (out []string) {
	for _, l := range res.Leaks {
		var children []int
		for _, c := range l.Children {
			children = append(children, int(c.Object))
		}
		slices.Sort(children)
		out = append(out, fmt.Sprint(l.Object, l.Cycle, l.Bytes, children))
	}
	slices.Sort(out)
	return out
}

func TestCoverOfUnknown(t *testing.T) {
	in := newHeap(2, [][2]int{{0, 1}})
	in.Roots = append(in.Roots, scanner.Root{Name: "gone", Range: gvaRange{Start: 0x100, End: 0x200}})
	res := scanOf(t, in)
	hidden, err := cover(context.Background(), in, res, map[int]int{0: 0}, ignores)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(hidden, map[int]int{0: 0, 1: 0}) || slices.Contains(res.States, scanner.Unknown) {
		t.Errorf("hidden %v, states %v", hidden, res.States)
	}
}
