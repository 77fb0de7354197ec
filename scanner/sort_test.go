package scanner

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// Of any number of spans, by any number of workers, whatever bits differ.
func TestSortSpans(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 100, 4095, 4096, 6252, 1 << 14, 40000} {
		for _, workers := range []int{1, 2, 5} {
			spans := make([]span, n)
			for i := range spans {
				spans[i] = span{start: 0xffff888000000000 + rng.Uint64N(1<<40), size: 1, count: uint32(i)}
			}
			want := slices.Clone(spans)
			slices.SortStableFunc(want, func(a, b span) int { return cmp.Compare(a.start, b.start) })
			if got := sortSpans(spans, workers); !slices.Equal(got, want) {
				t.Errorf("%d spans, %d workers: not sorted", n, workers)
			}
		}
	}
}
