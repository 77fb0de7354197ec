package scanner

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

// sparse makes a heap of n objects in many chunks:
// some full of objects, some with sizes that end anywhere, some with a few, objects
// that cross a chunk's end, and some that cross many.
func sparse(rng *rand.Rand, n, size int, order binary.ByteOrder) *Input {
	mem := newPaged()
	in := &Input{WordSize: size, Order: order, Memory: mem}
	ws, at, far := uint64(size), uint64(0xffff888000000000), uint64(0xffffc90000000000)
	if size == 4 {
		at, far = 0xc0000000, 0x80000000
	}
	slot := uint64(64)
	for i := range n {
		o := Object{Addr: gva(at), Size: slot}
		if i/2500%2 == 0 {
			o.Size -= rng.Uint64N(slot) * uint64(rng.IntN(2))
		}
		switch at += slot * uint64(1+rng.IntN(8)/7); {
		case i%400 == 399: // to the end of the chunk, and over it
			at = (at+1<<chunkShift-1)&^(1<<chunkShift-1) - 3*slot
		case i%977 == 976:
			slot = []uint64{32, 40, 64, 200, 4096}[rng.IntN(5)]
			at = (at + 4095) &^ 4095
		case i%3000 == 2999:
			o.Size, o.Flag = 9<<chunkShift, NoScan
			at += 9 << chunkShift
		}
		switch rng.IntN(60) {
		case 0:
			o.Flag |= []Flag{Gray, NoScan, Ignore}[rng.IntN(3)]
		case 1:
			o.Copies = []gvaRange{{Start: gva(far), End: gva(far) + 48}}
			far += 64 + rng.Uint64N(1<<18)
			mem.mapPages(uint64(o.Copies[0].Start), 48)
		}
		mem.mapPages(uint64(o.Addr), min(o.Size, 1<<13))
		in.Objects = append(in.Objects, o)
	}
	root := far + 1<<chunkShift
	mem.mapPages(root, 1<<16)
	in.Roots = []Root{{Range: gvaRange{Start: gva(root), End: gva(root + 1<<16)}}}
	to := func() uint64 {
		o := &in.Objects[rng.IntN(n)]
		if len(o.Copies) > 0 && rng.IntN(2) == 0 {
			return uint64(o.Copies[0].Start) + rng.Uint64N(48)
		}
		return uint64(o.Addr) + rng.Uint64N(o.Size+1)*uint64(rng.IntN(2))
	}
	for range 2 * n {
		o := &in.Objects[rng.IntN(n)]
		a := uint64(o.Addr) + rng.Uint64N(min(o.Size, 1<<13))
		if len(o.Copies) > 0 && rng.IntN(2) == 0 {
			a = uint64(o.Copies[0].Start) + rng.Uint64N(48)
		}
		mem.put(in, a&^(ws-1), to())
	}
	for a := root; a < root+1<<16; a += 8 * ws {
		mem.put(in, a, to())
	}
	// A list that leads through all of it.
	for i := 0; i+1 < n; i += 7 {
		next := min(i+7, n-1)
		mem.put(in, (uint64(in.Objects[i].Addr)+ws-1)&^(ws-1), uint64(in.Objects[next].Addr))
	}
	for range 5 {
		in.Edges = append(in.Edges, Edge{From: in.Objects[rng.IntN(n)].Addr, To: gva(to())})
	}
	return in
}

// walk is a slow judgement of an input of sparse, one object after another.
func walk(in *Input) []State {
	type part struct {
		start, end uint64
		obj        int
	}
	var parts []part
	for i, o := range in.Objects {
		parts = append(parts, part{uint64(o.Addr), uint64(o.Addr) + o.Size, i})
		for _, c := range o.Copies {
			parts = append(parts, part{uint64(c.Start), uint64(c.End), i})
		}
	}
	sort.Slice(parts, func(i, j int) bool { return parts[i].start < parts[j].start })
	states := make([]State, len(in.Objects))
	var queue []int
	reach := func(w uint64) {
		k := sort.Search(len(parts), func(i int) bool { return parts[i].start > w }) - 1
		if k >= 0 && w < parts[k].end && states[parts[k].obj] == 0 {
			states[parts[k].obj] = Reachable
			queue = append(queue, parts[k].obj)
		}
	}
	read := func(start, end uint64) {
		ws := uint64(in.WordSize)
		for a := (start + ws - 1) &^ (ws - 1); a+ws <= end; a += ws {
			var b [8]byte
			if guestmem.Read(in.Memory, gva(a), b[:ws]) != nil {
				panic("what is scanned is mapped")
			}
			if ws == 8 {
				reach(in.Order.Uint64(b[:]))
			} else {
				reach(uint64(in.Order.Uint32(b[:])))
			}
		}
	}
	for i, o := range in.Objects {
		if o.Flag&(Gray|Ignore) == Gray {
			states[i] = Reachable
			queue = append(queue, i)
		}
	}
	for _, r := range in.Roots {
		read(uint64(r.Range.Start), uint64(r.Range.End))
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		o := &in.Objects[i]
		if o.Flag&Ignore != 0 {
			continue
		}
		for _, e := range in.Edges {
			if e.From >= o.Addr && e.From < o.Addr+gva(o.Size) {
				reach(uint64(e.To))
			}
		}
		if o.Flag&NoScan != 0 {
			continue
		}
		read(uint64(o.Addr), uint64(o.Addr)+o.Size)
		for _, c := range o.Copies {
			read(uint64(c.Start), uint64(c.End))
		}
	}
	for i, o := range in.Objects {
		switch {
		case o.Flag&Ignore != 0:
			states[i] = Ignored
		case states[i] == 0:
			states[i] = Orphan
		}
	}
	return states
}

func TestSparse(t *testing.T) {
	for k, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			in := sparse(rand.New(rand.NewPCG(uint64(k), 1)), 20000, f.size, f.order)
			want := walk(in)
			counts := map[State]int{}
			for _, s := range want {
				counts[s]++
			}
			if min(counts[Reachable], counts[Orphan], counts[Ignored]) < 50 {
				t.Errorf("one-sided: %v", counts)
			}
			for _, workers := range []int{1, 3} {
				for _, edges := range []bool{true, false} {
					for _, fast := range []bool{true, false} {
						got := scanWith(t, in, workers, edges, fast)
						if !slices.Equal(got.States, want) {
							t.Fatalf("%d workers, edges %v, fast %v: another verdict", workers, edges, fast)
						}
					}
				}
			}
		})
	}
}

func mustMarker(t *testing.T, in *Input, workers int) *marker {
	t.Helper()
	m, err := newMarker(in, &Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scanWith is Scan with or without room for edges, and what only some CPUs have.
func scanWith(t *testing.T, in *Input, workers int, edges, fast bool) *Result {
	m := mustMarker(t, in, workers)
	if !edges {
		m.arenas.list = nil
	}
	if !fast {
		m.f.setPlainLoops()
	}
	m.team = newTeam(workers - 1)
	defer m.team.dismiss()
	ws := m.newWorkers(context.Background())
	if err := m.run(ws); err != nil {
		t.Fatal(err)
	}
	r, _, err := m.result(ws)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A list of objects that are treated by themselves comes to light link by link, with
// much to be scanned at each, or at some.
func TestChain(t *testing.T) {
	for _, fan := range []int{1, 40, 3000} {
		mem := newPaged()
		in := &Input{WordSize: 8, Order: binary.LittleEndian, Memory: mem, Layouts: []Layout{{}}}
		const n, size = 12000, 64
		base := uint64(0xffff888000000000)
		mem.mapPages(base, n*size)
		order := rand.New(rand.NewPCG(1, uint64(fan))).Perm(n)
		at := func(k int) uint64 { return base + uint64(order[k]*size) }
		for i := range n {
			in.Objects = append(in.Objects, Object{Addr: gva(base + uint64(i*size)), Size: size, Layout: 1})
		}
		want := make([]State, n)
		fill(want, Orphan)
		want[order[0]] = Reachable
		link := func(from, to, word int) { // in the order in which they are reached
			mem.put(in, at(from)+uint64(8*word), at(to))
			want[order[to]] = want[order[from]]
		}
		// Each refers to the next, and has many hang on it, by threes.
		for k := 1; k < n-n/10; k++ {
			if head := k - k%fan; head == k {
				link(k-fan, k, 0)
			} else {
				link(head+(k%fan-1)/3, k, 1+(k%fan-1)%3)
			}
		}
		in.Roots = []Root{{Words: []uint64{at(0)}}}
		for _, workers := range []int{1, 3} {
			if got := mustScan(t, in, workers); !slices.Equal(got.States, want) {
				t.Errorf("%d hang on each, %d workers: another verdict", fan, workers)
			}
		}
	}
}

// A chunk in which little lies counts what starts in the last part of the one before
// as its own: also where a region begins among that, all is marked.
func TestChunkEnds(t *testing.T) {
	const size, end = 64, 0xffff888000200000
	for extra := range 32 {
		in := &Input{WordSize: 8, Order: binary.LittleEndian, Memory: newPaged()}
		n := 3000 + 8*extra
		for i := range n {
			in.Objects = append(in.Objects, Object{Addr: gva(end - uint64(n-i)*size), Size: size, Flag: NoScan})
		}
		in.Objects = append(in.Objects, Object{Addr: end + 100, Size: 33, Flag: NoScan})
		var words []uint64
		for _, o := range in.Objects {
			words = append(words, uint64(o.Addr))
		}
		in.Roots = []Root{{Words: words}}
		for i, s := range mustScan(t, in, 1).States {
			if s != Reachable {
				t.Fatalf("%d objects: the state of %d is %d", n, i, s)
			}
		}
	}
}

// Large objects, which are read in parts, are read whoever comes upon them.
func TestLargeObjects(t *testing.T) {
	const n, large = 20000, 3 << 20
	for _, workers := range []int{1, 2, 5} {
		mem := newPaged()
		in := &Input{WordSize: 8, Order: binary.LittleEndian, Memory: mem}
		at := uint64(0xffff888000000000)
		var words []uint64
		for i := range n {
			size := uint64(64)
			if i%2000 == 1999 { // the only one that refers to the next
				size = large
				mem.mapPages(at, size)
				mem.put(in, at+size-8, at+size)
			}
			if i%2000 != 0 || i == 0 {
				words = append(words, at)
			}
			in.Objects = append(in.Objects, Object{Addr: gva(at), Size: size})
			mem.mapPages(at, 64)
			at += size
		}
		in.Roots = []Root{{Words: words}}
		for range 5 {
			for i, s := range mustScan(t, in, workers).States {
				if s != Reachable {
					t.Fatalf("%d workers: the state of %d is %d", workers, i, s)
				}
			}
		}
	}
}
