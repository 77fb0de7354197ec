package liveset

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/leakvisor/leakvisor/guestmem"
)

// rec is as large as what a tracker keeps for an object.
type rec struct {
	addr guestmem.GVA
	size uint64
	seq  uint64
	_    [3]uint64 // time, backtrace, task
}

func extent(r *rec) (guestmem.GVA, uint64) { return r.addr, r.size }

// play runs ops against a Go map. Addresses come from a small space, so that
// they meet again.
func play(t *testing.T, ops []byte, rng *rand.Rand, space int) {
	s := New(extent)
	want := map[guestmem.GVA]rec{}
	for i, op := range ops {
		a := guestmem.GVA(0xffff888000000000 + uint64(rng.IntN(space))*64)
		switch op % 4 {
		case 0, 1:
			r := rec{addr: a, size: uint64(op), seq: uint64(i)}
			old, replaced := s.Put(r)
			if w, ok := want[a]; ok != replaced || w != old {
				t.Fatalf("op %d: put took the place of %v %v, want %v %v", i, old, replaced, w, ok)
			}
			want[a] = r
		case 2:
			old, found := s.Remove(a)
			if w, ok := want[a]; ok != found || w != old {
				t.Fatalf("op %d: removed %v %v, want %v %v", i, old, found, w, ok)
			}
			delete(want, a)
		case 3:
			r := s.Get(a)
			if w, ok := want[a]; ok != (r != nil) || ok && *r != w {
				t.Fatalf("op %d: got %v, want %v %v", i, r, w, ok)
			}
		}
		if s.Len() != len(want) {
			t.Fatalf("op %d: %d records, want %d", i, s.Len(), len(want))
		}
	}
	sorted := s.Sorted()
	if len(sorted) != len(want) || !slices.IsSortedFunc(sorted, func(a, b rec) int { return int(int64(a.addr - b.addr)) }) {
		t.Fatal("not all, or not sorted")
	}
	for _, r := range sorted {
		if want[r.addr] != r {
			t.Fatalf("%v, want %v", r, want[r.addr])
		}
	}
}

func TestSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, space := range []int{1, 10, 1000, 100000} {
		ops := make([]byte, 200000)
		for i := range ops {
			ops[i] = byte(rng.Uint32())
			if i > len(ops)*2/3 && ops[i]%4 == 1 {
				ops[i]++ // shrink at the end
			}
		}
		play(t, ops, rng, space)
	}
}

func TestAllGone(t *testing.T) {
	s := New(extent)
	const n = 50000
	for i := range n {
		s.Put(rec{addr: guestmem.GVA(i) << 12})
	}
	for i := range n {
		if _, ok := s.Remove(guestmem.GVA(n-1-i) << 12); !ok {
			t.Fatalf("%d was not there", n-1-i)
		}
	}
	if s.Len() != 0 || len(s.Sorted()) != 0 || len(s.chunks) > 2 {
		t.Errorf("%d records, %d chunks are left", s.Len(), len(s.chunks))
	}
	for range s.All() {
		t.Error("All visits a record")
	}
}

func TestCovering(t *testing.T) {
	s := New(extent)
	s.Put(rec{addr: 0x1000, size: 0x100})
	s.Put(rec{addr: 0x1100, size: 0})
	s.Put(rec{addr: 0x1080, size: 8})
	s.Put(rec{addr: ^guestmem.GVA(0) - 7, size: 100})
	for a, want := range map[guestmem.GVA]guestmem.GVA{0x1000: 0x1000, 0x10ff: 0x1000, 0x1081: 0x1080, 0x1088: 0x1000, 0x1100: 0x1100, ^guestmem.GVA(0): ^guestmem.GVA(0) - 7} {
		if r := s.Covering(a); r == nil || r.addr != want {
			t.Errorf("%#x lies in %+v, want %#x", a, r, want)
		}
	}
	for _, a := range []guestmem.GVA{0xfff, 0x1101, 0} {
		if r := s.Covering(a); r != nil {
			t.Errorf("%#x lies in %+v", a, r)
		}
	}
}

func TestMemory(t *testing.T) {
	if n := unsafe.Sizeof(rec{}); n != 48 {
		t.Fatalf("the record has %d bytes", n)
	}
	for _, n := range []int{200000, 250000, 300000, 350000} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := New(extent)
		for i := range n {
			s.Put(rec{addr: guestmem.GVA(i) * 192})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		per := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
		t.Logf("%d objects: %.1f bytes each", n, per)
		if per > 64 {
			t.Errorf("%d objects: %.1f bytes each", n, per)
		}
		runtime.KeepAlive(s)
	}
}

func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint64(1))
	f.Fuzz(func(t *testing.T, ops []byte, seed uint64) {
		play(t, ops, rand.New(rand.NewPCG(seed, 0)), 1+int(seed%64))
	})
}

// BenchmarkEvents is one allocation and one free a step, a million live.
func BenchmarkEvents(b *testing.B) {
	s := New(extent)
	const live = 1 << 20
	at := func(i int) guestmem.GVA { return 0xffff888000000000 + guestmem.GVA(i*2654435761%(4*live))*64 }
	for i := range live {
		s.Put(rec{addr: at(i)})
	}
	i := live
	for b.Loop() {
		s.Put(rec{addr: at(i)})
		s.Remove(at(i - live))
		i++
	}
}
