package scanner

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// A word is sifted the same way by hand-written loops and by plain Go.
func TestSift(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	in := sparse(rng, 20000, 4, binary.BigEndian)
	m := mustMarker(t, in, 1)
	for i := range m.states {
		m.states[i].reached |= rng.Uint64()
	}
	counts := [2]int{}
	for c := range m.x.chunks {
		c := &m.x.chunks[c]
		for range 20 {
			// What is read begins before the chunk, in it, or where it does.
			start := (rng.IntN(3) - 1) * rng.IntN(1<<chunkShift)
			offs := make([]uint32, rng.IntN(siftWords+1))
			for i := range offs {
				low := max(start, 0)
				low += rng.IntN(1<<chunkShift - low)
				offs[i] = uint32(low - start)
			}
			var others, otherPlain [siftWords]uint32
			to, plain := make([]uint32, len(offs)+1), make([]uint32, len(offs)+1)
			n, rest := m.f.sift(m.states, m.x, c, uint32(start), to, offs, &others)
			plainN, plainRest := plainSift(m.states, m.x, c, uint32(start), plain, offs, &otherPlain)
			if !slices.Equal(to[:n], plain[:plainN]) || !slices.Equal(others[:rest], otherPlain[:plainRest]) {
				t.Fatalf("%d words of chunk %#x: %d and %d are reached, %d and %d others", len(offs), c.key, n, plainN, rest, plainRest)
			}
			counts[0] += n
			counts[1] += rest
		}
	}
	if min(counts[0], counts[1]) < 1000 {
		t.Errorf("one-sided: %v", counts)
	}
}

// Words are marked the same way by hand-written loops and by plain Go, up to one in
// a rough chunk or in none.
func TestSet(t *testing.T) {
	for k, f := range formats {
		rng := rand.New(rand.NewPCG(uint64(k), 2))
		in := sparse(rng, 20000, f.size, f.order)
		x := newIndex(in.Objects, f.size, 1)
		loops := newFormat(in)
		n := len(x.granules)
		fast, plain := make([]uint64, n), make([]uint64, n)
		var smooth []Object
		for _, o := range in.Objects {
			if c := x.chunkOf(uint64(o.Addr)); c != nil && c.key&rough == 0 {
				smooth = append(smooth, o)
			}
		}
		done := 0
		for range 500 {
			b := make([]byte, setWords*f.size)
			var offs []uint32
			for i := range rng.IntN(setWords) {
				o := &smooth[rng.IntN(len(smooth))]
				if rng.IntN(200) == 0 {
					o = &in.Objects[rng.IntN(len(in.Objects))]
				}
				putWord(in, b[i*f.size:], uint64(o.Addr)+rng.Uint64N(o.Size))
				offs = append(offs, uint32(i*f.size))
			}
			var units [setWords]uint64
			got, want := loops.set(fast, x, b, offs, &units), loops.plainSet(plain, x, b, offs, &units)
			if got != want {
				t.Fatalf("%s: %d of %d words are marked, not %d", f.name, got, len(offs), want)
			}
			done += got
		}
		if !slices.Equal(fast, plain) {
			t.Errorf("%s: other units are marked", f.name)
		}
		if done < 10000 {
			t.Errorf("%s: only %d words are marked", f.name, done)
		}
	}
}

// Marks are spread to spans the same way by hand-written loops, by plain Go and by
// looking them up.
func TestSpread(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	in := sparse(rng, 20000, 8, binary.LittleEndian)
	m := mustMarker(t, in, 1)
	x := m.x
	units := make([]uint64, len(x.granules))
	want := make([]uint64, len(x.owners)/64+1)
	for i := range x.chunks {
		c := &x.chunks[i]
		if c.key&rough != 0 {
			continue
		}
		for range 2000 {
			a := c.start() + rng.Uint64N(1<<chunkShift)
			setBit(units, uint32(c.unit(a)))
			setBit(want, x.findIn(c, a))
		}
	}
	marked := 0
	for _, loop := range []spread{plainSpread, m.f.spread} {
		for k := range len(x.regions) - 1 {
			var found [foundWords]uint64
			first, end := x.regions[k], x.regions[k+1]+1
			loop(x.granules[first:end], units[first:end], found[:], uint32(k)<<regionBits-64)
			for n := k * regionWords; n < min((k+1)*regionWords, len(want)); n++ {
				got := found[n-k*regionWords+1]
				if got != want[n] {
					t.Fatalf("the spans from %d on: %#x, not %#x", n*64, got, want[n])
				}
				marked += bits.OnesCount64(got)
			}
		}
	}
	if marked < 2000 {
		t.Errorf("only %d spans", marked)
	}
}
