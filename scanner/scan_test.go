package scanner

import (
	"fmt"
	"slices"
	"testing"
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
		if !slices.Equal(got.Refs, want.Refs) {
			t.Errorf("refs\n%d, want\n%d", got.Refs, want.Refs)
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
		t.Logf("object %d: %#x+%d flag %d copies %#x parts %#x", i, o.Addr, o.Size, o.Flag, o.Copies, o.Parts)
	}
	for _, r := range in.Roots {
		t.Logf("root %#x words %#x other %v", r.Range, r.Words, r.Memory != nil)
	}
	t.Logf("exclude %#x edges %#x", in.Exclude, in.Edges)
}

func TestRandomHeaps(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			reachable, orphans, unknown := 0, 0, 0
			for seed := range 400 {
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
			if reachable < 1000 || orphans < 1000 || unknown < 1000 {
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
