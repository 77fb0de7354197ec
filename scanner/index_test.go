package scanner

import (
	"math"
	"testing"
)

// Marks take no more room than they may, whatever the objects.
func TestMaxWorkers(t *testing.T) {
	objects := make([]Object, 1<<18)
	for i := range objects { // each is in a chunk of its own
		objects[i] = Object{Addr: gva(1<<48 + uint64(i)<<chunkShift), Size: 64}
	}
	x := newIndex(objects, 8, 1)
	n := x.maxWorkers(1 << 20)
	if bytes := n * (8*len(x.granules) + len(x.owners)/8); n < 2 || bytes > max(minMarks, marksBytes*len(x.owners)) {
		t.Errorf("%d workers, with %d bytes for %d spans", n, bytes, len(x.owners))
	}
	if n := x.maxWorkers(1); n != 1 {
		t.Errorf("of one there are %d", n)
	}
}

// Chunks that differ in high bits only are found too, and entering many takes no
// longer than others.
func TestTable(t *testing.T) {
	const fibonacci = 14930352 // nearly an integer when multiplied by the golden ratio
	for _, apart := range []uint64{1, 1 << 20, fibonacci} {
		objects := make([]Object, 1<<17)
		for i := range objects {
			objects[i] = Object{Addr: gva(1<<48 + uint64(i)*apart<<chunkShift), Size: 64}
		}
		x := newIndex(objects, 8, 1)
		if plain := x.factor == 1<<x.shift; plain != (apart == 1) {
			t.Errorf("%#x apart: the factor is %#x", apart, x.factor)
		}
		if apart == fibonacci && x.factor == goldenRatio {
			t.Errorf("%#x apart: the factor is %#x", apart, x.factor)
		}
		for i, o := range objects {
			if span, ok := x.find(uint64(o.Addr) + 63); !ok || x.owners[span] != uint32(i) {
				t.Fatalf("%#x apart: object %d is not found", apart, i)
			}
		}
	}
}

// The last address is nobody's, and what a word is when it is read again, if it
// was changed meanwhile, may be that.
func TestTargetOfLastAddress(t *testing.T) {
	x := newIndex([]Object{{Addr: math.MaxUint64 - 100, Size: 99}, {Addr: math.MaxUint64 - 1000, Size: 13}}, 8, 1)
	if i, ok := x.find(math.MaxUint64); ok {
		t.Errorf("it is in span %d", i)
	}
	to, ok := x.target(math.MaxUint64)
	if !ok {
		t.Fatal("its chunk has no object")
	}
	if i := to.span(x); int(i) >= len(x.owners) {
		t.Errorf("it is looked up as span %d of %d", i, len(x.owners))
	}
}
