package stackdepot

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

func TestInternIsASet(t *testing.T) {
	d := New()
	rng := rand.New(rand.NewPCG(1, 2))
	ids := map[string]uint32{}
	key := func(trace []guestmem.GVA) string {
		var b []byte
		for _, a := range trace {
			b = binary.LittleEndian.AppendUint64(b, uint64(a))
		}
		return string(b)
	}
	var traces [][]guestmem.GVA
	for range 30_000 {
		trace := make([]guestmem.GVA, 1+rng.IntN(16))
		for i := range trace {
			trace[i] = guestmem.GVA(0xffff_ffff_8100_0000 + rng.Uint64N(4))
		}
		id := d.Intern(trace)
		if old, ok := ids[key(trace)]; ok && old != id {
			t.Fatalf("trace %x has the numbers %d and %d", trace, old, id)
		}
		ids[key(trace)] = id
		traces = append(traces, slices.Clone(trace))
		clear(trace) // the depot must have a copy
	}
	for _, trace := range traces {
		if got := d.Get(ids[key(trace)]); !slices.Equal(got, trace) {
			t.Fatalf("Get = %x, want %x", got, trace)
		}
	}
	if d.Len() != len(ids) {
		t.Errorf("Len = %d, want %d", d.Len(), len(ids))
	}
}

func TestEdges(t *testing.T) {
	d := New()
	if id := d.Intern(nil); id != 0 || d.Get(0) != nil || d.Len() != 0 {
		t.Errorf("the empty trace is %d, %x", id, d.Get(0))
	}
	if d.Get(7) != nil {
		t.Error("Get of an unknown number is a trace")
	}
	long := make([]guestmem.GVA, 3*chunkWords)
	long[len(long)-1] = 1
	one, two := d.Intern(long), d.Intern(long[:1])
	if one == two || !slices.Equal(d.Get(one), long) || len(d.Get(two)) != 1 {
		t.Error("a trace longer than a chunk is not kept")
	}
	if a := append(d.Get(two), 9); len(d.Get(two)) != 1 || len(a) != 2 || d.Intern([]guestmem.GVA{0}) != two {
		t.Error("appending to a trace changes the depot")
	}
}

func BenchmarkIntern(b *testing.B) {
	d := New()
	rng := rand.New(rand.NewPCG(1, 2))
	traces := make([][]guestmem.GVA, 4096)
	for i := range traces {
		traces[i] = make([]guestmem.GVA, 12)
		for j := range traces[i] {
			traces[i][j] = guestmem.GVA(rng.Uint64())
		}
	}
	b.ReportAllocs()
	for i := range b.N {
		d.Intern(traces[i&4095])
	}
}
