package scanner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

func mustScan(t testing.TB, in *Input, workers int) *Result {
	t.Helper()
	r, err := Scan(t.Context(), in, &Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// compare scans in with some numbers of workers and compares with the
// reference.
func compare(t testing.TB, in *Input) {
	t.Helper()
	want, ref := referenceScan(in)
	for _, workers := range []int{1, 3} {
		got := mustScan(t, in, workers)
		if !slices.Equal(got.States, want.States) {
			for i := range got.States {
				if got.States[i] != want.States[i] {
					t.Errorf("object %d %+v: state %d, want %d", i, in.Objects[i], got.States[i], want.States[i])
				}
			}
		}
		if got.Bytes != want.Bytes {
			t.Errorf("scanned %d bytes, want %d", got.Bytes, want.Bytes)
		}
		if got.UnreadableBytes != want.UnreadableBytes {
			t.Errorf("unreadable %d bytes, want %d: %#x", got.UnreadableBytes, want.UnreadableBytes, got.Unreadable)
		}
		checkLeaks(t, ref, got)
		if t.Failed() {
			dump(t, in)
			return
		}
	}
}

func dump(t testing.TB, in *Input) {
	for i, o := range in.Objects {
		t.Logf("object %d: %#x+%d flag %d copies %#x parts %#x layout %d", i, o.Addr, o.Size, o.Flag, o.Copies, o.Parts, o.Layout)
	}
	for _, r := range in.Roots {
		t.Logf("root %#x words %#x other %v", r.Range, r.Words, r.Memory != nil)
	}
	t.Logf("layouts %v", in.Layouts)
	t.Logf("exclude %#x edges %#x", in.Exclude, in.Edges)
}

func TestRandomHeaps(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			reachable, orphans, unknown := 0, 0, 0
			for seed := range 150 {
				in := randomInput(newDice(fmt.Append(nil, seed)), f.size, f.order)
				compare(t, in)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
				for _, s := range mustScan(t, in, 2).States {
					switch s {
					case Reachable:
						reachable++
					case Orphan:
						orphans++
					case Unknown:
						unknown++
					}
				}
			}
			if min(reachable, orphans, unknown) < 300 {
				t.Errorf("the heaps are one-sided: %d reachable, %d orphans, %d unknown", reachable, orphans, unknown)
			}
		})
	}
}

func FuzzScan(f *testing.F) {
	for i := range formats {
		f.Add([]byte("seed"), i)
	}
	f.Fuzz(func(t *testing.T, data []byte, format int) {
		fm := formats[uint(format)%uint(len(formats))]
		compare(t, randomInput(newDice(data), fm.size, fm.order))
	})
}

// largeInput is a heap large enough that all is done in parallel, with some
// of everything.
func largeInput(n int, overlaps bool) *Input {
	rng := rand.New(rand.NewPCG(3, 4))
	mem := newPaged()
	const base = 0xffff888000000000
	in := &Input{WordSize: 8, Order: formats[0].order, Memory: mem}
	for i := range n {
		o := Object{Addr: gva(base + uint64(i)*64), Size: 1 + rng.Uint64N(64)}
		switch rng.IntN(100) {
		case 0:
			o.Flag = Flag(rng.IntN(8))
		case 1:
			o.Copies = []gvaRange{{Start: o.Addr + 1<<32, End: o.Addr + 1<<32 + 64}}
		case 2:
			if overlaps {
				o.Size *= 3
			}
		}
		in.Objects = append(in.Objects, o)
	}
	rng.Shuffle(n, func(i, j int) { in.Objects[i], in.Objects[j] = in.Objects[j], in.Objects[i] })
	mem.mapPages(base, uint64(n)*64)
	mem.mapPages(base+1<<32, uint64(n)*64)
	for range n {
		o := in.Objects[rng.IntN(n)]
		mem.put(in, base+rng.Uint64N(uint64(n)*64)&^7, uint64(o.Addr)+rng.Uint64N(o.Size+1))
	}
	for k := range mem.pages {
		if k%97 == 0 {
			mem.short[k] = 100
		}
	}
	in.Roots = []Root{{Range: gvaRange{Start: base, End: base + gva(n)*4}}}
	return in
}

func TestWorkersAgree(t *testing.T) {
	for _, overlaps := range []bool{false, true} {
		in := largeInput(60000, overlaps)
		want := mustScan(t, in, 1)
		counts := map[State]int{}
		for _, s := range want.States {
			counts[s]++
		}
		if counts[Reachable] < 5000 || counts[Orphan] < 5000 {
			t.Errorf("one-sided: %v", counts)
		}
		for _, workers := range []int{2, 5} {
			got := mustScan(t, in, workers)
			if !slices.Equal(got.States, want.States) || got.Bytes != want.Bytes {
				t.Errorf("%d workers come to another result", workers)
			}
			if fmt.Sprint(got.Leaks) != fmt.Sprint(want.Leaks) {
				t.Errorf("%d workers find other leaks", workers)
			}
		}
	}
}

func TestScanErrors(t *testing.T) {
	good := *shapeInput(0, 3)
	for name, change := range map[string]func(in *Input){
		"word size": func(in *Input) { in.WordSize = 2 },
		"order":     func(in *Input) { in.Order = nil },
		"memory":    func(in *Input) { in.Memory = nil },
		"layout":    func(in *Input) { in.Objects = []Object{{Layout: 1}} },
	} {
		in := good
		change(&in)
		if _, err := Scan(t.Context(), &in, nil); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, &good, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	empty := Input{WordSize: 4, Order: formats[3].order, Memory: good.Memory}
	if r, err := Scan(t.Context(), &empty, nil); err != nil || len(r.States) != 0 || r.Leaks != nil {
		t.Errorf("empty: %+v, %v", r, err)
	}
}

// Unreadable memory hides something only where it is reachable.
func TestUnreadable(t *testing.T) {
	in := shapeInput(0, 3)
	in.Objects[1].Addr = 0x9000
	r := mustScan(t, in, 1)
	if r.States[0] != Orphan || r.States[1] != Orphan || r.UnreadableBytes != 0 || r.UnreadableOrphanBytes != 64 {
		t.Errorf("an unreadable orphan: %+v", r)
	}
	in.Roots = []Root{{Words: []uint64{0x9000}}}
	r = mustScan(t, in, 1)
	if r.States[0] != Unknown || r.States[1] != Reachable || r.UnreadableBytes != 64 || len(r.Unreadable) != 1 || r.Unreadable[0] != (gvaRange{Start: 0x9000, End: 0x9040}) {
		t.Errorf("an unreadable object that is reachable: %+v", r)
	}
}

// holes are readable nowhere, and know so by the GiB.
type holes struct{ reads atomic.Int64 }

func (h *holes) View(a gva, _ int) ([]byte, error) {
	h.reads.Add(1)
	return nil, &guestmem.AddressError{Addr: uint64(a), Reason: "nothing", Hole: 1<<30 - uint64(a)%(1<<30)}
}

// Many objects of gigabytes take neither a list of their parts nor a read for
// each page.
func TestHoles(t *testing.T) {
	mem := &holes{}
	in := &Input{WordSize: 8, Order: formats[0].order, Memory: mem}
	const n, size = 64, 8 << 30
	for i := range uint64(n) {
		in.Objects = append(in.Objects, Object{Addr: gva(1<<44 + i*2*size), Size: size, Flag: Gray})
	}
	r := mustScan(t, in, 2)
	if r.UnreadableBytes != n*size || r.Bytes != 0 {
		t.Errorf("%#x unreadable, %#x read", r.UnreadableBytes, r.Bytes)
	}
	if parts := int64(n * size / maxRun); mem.reads.Load() > 2*parts {
		t.Errorf("%d reads of %d parts", mem.reads.Load(), parts)
	}
}

// A huge unreadable object is given up soon.
func TestHugeUnreadable(t *testing.T) {
	in := shapeInput(0, 1)
	in.Objects = append(in.Objects, Object{Addr: 1 << 40, Size: 1 << 62, Flag: Gray}, Object{Addr: 0xffff000000000000, Size: 100 << 20, Flag: Gray})
	r := mustScan(t, in, 2)
	if want := uint64(1<<62 + 100<<20); r.UnreadableBytes != want || r.States[0] != Unknown || r.Bytes != 0 {
		t.Errorf("%#x unreadable, want %#x; %d scanned, states %d", r.UnreadableBytes, want, r.Bytes, r.States)
	}
}

// Large objects are split among workers, and no word is lost at a seam.
func TestLargeObject(t *testing.T) {
	const size = 5<<20 + 24
	mem := newPaged()
	mem.mapPages(0x100000, size)
	mem.mapPages(0x10000000, testPage)
	in := &Input{WordSize: 8, Order: formats[1].order, Memory: mem, Objects: []Object{{Addr: 0x100004, Size: size - 4, Flag: Gray}}}
	for i := range uint64(40) {
		in.Objects = append(in.Objects, Object{Addr: gva(0x10000000 + i*16), Size: 16})
		at := 0x100004 + i*(size/40)
		if i%2 == 0 {
			at = 0x100008 + i/2<<20 - 8*(i/2%2) // beside the seams
		}
		if at+8 > 0x100000+size {
			at = 0x100000 + size - 8
		}
		mem.put(in, (at+7)&^7, 0x10000000+i*16)
	}
	want, _ := referenceScan(in)
	got := mustScan(t, in, 3)
	if !slices.Equal(got.States, want.States) || got.Bytes != want.Bytes {
		t.Errorf("%d, want %d", got.States, want.States)
	}
}
