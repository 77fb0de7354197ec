package scanner

import (
	"cmp"
	"slices"
	"sort"
)

// bands are up to three ranges of addresses outside which no object lies: a
// word w is in one where w-lo < n. An unused band has n zero.
type bands struct {
	b [3]struct{ lo, n uint64 }
	// vec is the same for vectors with signed comparison, for each band what
	// to add and the limit, in each lane (filter_amd64.s knows the layout).
	vec [6][4]uint64
}

// findBands cuts the spans at their widest gaps. Outside is the last address
// of the guest's address space, so that no length overflows: no Range of a
// 64-bit guest can hold it either.
func (x *index) findBands(wordSize, workers int) bands {
	top := ^uint64(0)
	if wordSize == 4 {
		top = 1<<32 - 1
	}
	spans := x.spans[:len(x.objects)]
	spans = spans[:sort.Search(len(spans), func(i int) bool { return spans[i].start >= top })]
	var b bands
	cuts := x.widest(len(spans), len(b.b)-1, workers)
	if len(spans) > 0 {
		cuts = append(cuts, len(spans))
	}
	first := 0
	for k, next := range cuts {
		b.b[k].lo = spans[first].start
		b.b[k].n = min(x.last(uint32(next-1)), top-1) - b.b[k].lo + 1
		first = next
	}
	b.setVectors(wordSize)
	return b
}

// widest returns, ascending, the spans among the first n that have the
// widest gaps before them, at most want.
func (x *index) widest(n, want, workers int) []int {
	gap := func(i int) uint64 { return x.spans[i].start - x.last(uint32(i-1)) }
	wider := func(i, j int) int { return cmp.Or(cmp.Compare(gap(j), gap(i)), cmp.Compare(i, j)) }
	found := make([][]int, workers)
	shares(workers, n, func(part, lo, hi int) {
		var best []int // the widest first
		least := uint64(0)
		for i := max(lo, 1); i < hi; i++ {
			if len(best) == want && gap(i) <= least {
				continue
			}
			best = append(best, i)
			slices.SortFunc(best, wider)
			best = best[:min(len(best), want)]
			least = gap(best[len(best)-1])
		}
		found[part] = best
	})
	all := slices.Concat(found...)
	slices.SortFunc(all, wider)
	all = all[:min(len(all), want)]
	slices.Sort(all)
	return all
}

// setVectors makes vec of b.
func (f *bands) setVectors(wordSize int) {
	for k, r := range f.b {
		// Flipping the top bit turns unsigned order into signed order.
		add, limit := 1<<63-r.lo, r.n^1<<63
		if wordSize == 4 {
			add, limit = uint64(uint32(1<<31-r.lo)), uint64(uint32(r.n^1<<31))
			add, limit = add|add<<32, limit|limit<<32
		}
		for lane := range f.vec[0] {
			f.vec[2*k][lane], f.vec[2*k+1][lane] = add, limit
		}
	}
}
