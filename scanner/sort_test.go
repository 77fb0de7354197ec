package scanner

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// All the ways to sort, with more workers than get a share too.
func TestSortSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 100, 4095, 4096, 10000, 1<<14 - 1, 1 << 14, 50000} {
		spans := make([]span, n)
		for i := range spans {
			spans[i] = span{start: r.Uint64() >> r.IntN(40), obj: uint32(i)}
		}
		want := slices.Clone(spans)
		slices.SortStableFunc(want, func(a, b span) int { return cmp.Compare(a.start, b.start) })
		for _, workers := range []int{1, 2, 7} {
			if got := sortSpans(slices.Clone(spans), workers); !slices.Equal(got, want) {
				t.Errorf("%d spans are not sorted by %d workers", n, workers)
			}
		}
	}
}

// Runs of several allocators, apart, mixed, and with equal starts.
func TestSortRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{2, 3, 7, 300, 20000} {
		for runs := 1; runs <= maxRuns+1; runs++ {
			spans := make([]span, n)
			for i := range spans {
				spans[i] = span{start: r.Uint64N(uint64(n)), obj: uint32(i)}
				if i%2 == 0 {
					spans[i].start += uint64(i*runs/n) << 20
				}
			}
			for k := range runs {
				part := spans[k*n/runs : (k+1)*n/runs]
				slices.SortStableFunc(part, func(a, b span) int { return cmp.Compare(a.start, b.start) })
			}
			want := slices.Clone(spans)
			slices.SortStableFunc(want, func(a, b span) int { return cmp.Compare(a.start, b.start) })
			for _, workers := range []int{1, 3} {
				if got := sortSpans(slices.Clone(spans), workers); !slices.Equal(got, want) {
					t.Errorf("%d spans in %d runs are not sorted by %d workers", n, runs, workers)
				}
			}
		}
	}
}
