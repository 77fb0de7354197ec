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
func (x *Index) findBands(workers int) bands {
	top := ^uint64(0)
	if x.wordSize == 4 {
		top = 1<<32 - 1
	}
	var b bands
	first, end := 0, sort.Search(len(x.owners), func(i int) bool { return x.starts[i] >= top })
	for end > 0 && x.owners[end-1] == none {
		end--
	}
	if end > 0 && x.owners[0] == none {
		first++
	}
	cuts := x.widest(first, end, len(b.b)-1, workers)
	if end > first {
		// What is left out has to be worth the comparisons.
		least := (x.starts[end] - x.starts[first]) / 16
		cuts = slices.DeleteFunc(cuts, func(i int) bool { return x.starts[i+1]-x.starts[i] < least })
	}
	for k, cut := range append(cuts, end) {
		if first < cut {
			b.b[k].lo = x.starts[first]
			b.b[k].n = min(x.last(uint32(cut-1)), top-1) - b.b[k].lo + 1
		}
		first = cut + 1
	}
	b.setVectors(x.wordSize)
	return b
}

// widest returns, ascending, the widest gaps among the spans [from, to), at
// most want.
func (x *Index) widest(from, to, want, workers int) []int {
	size := func(i int) uint64 { return x.starts[i+1] - x.starts[i] }
	wider := func(i, j int) int { return cmp.Or(cmp.Compare(size(j), size(i)), cmp.Compare(i, j)) }
	found := make([][]int, workers)
	shares(workers, max(to-from, 0), func(part, lo, hi int) {
		var best []int // the widest first
		least := uint64(0)
		for i := from + lo; i < from+hi; i++ {
			if x.owners[i] != none || len(best) == want && size(i) <= least {
				continue
			}
			best = append(best, i)
			slices.SortFunc(best, wider)
			best = best[:min(len(best), want)]
			least = size(best[len(best)-1])
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
