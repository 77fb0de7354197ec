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
			spans[i] = span{start: r.Uint64() >> r.IntN(40), count: uint32(i)}
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
