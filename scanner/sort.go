package scanner

import (
	"cmp"
	"slices"
	"sort"
	"sync"
)

// shares divides [0, n) among workers and waits for all; where there is
// little to do it is done here. part is below workers, ascending with lo.
func shares(workers, n int, f func(part, lo, hi int)) {
	if workers <= 1 || n < 1<<14 {
		f(0, 0, n)
		return
	}
	var wg sync.WaitGroup
	for part := range workers {
		wg.Go(func() { f(part, part*n/workers, (part+1)*n/workers) })
	}
	wg.Wait()
}

const radixBits = 11

// maxRuns is how many ascending runs are merged; more are sorted. The slabs
// are walked in the order of their addresses, so objects mostly come as a few
// runs: one for each allocator.
const maxRuns = 16

// sortSpans sorts by start, stably. It may return other memory than it was
// given.
func sortSpans(spans []span, workers int) []span {
	diffs, starts := make([]uint64, workers), make([][]int, workers)
	shares(workers, len(spans), func(part, lo, hi int) {
		diff, runs := uint64(0), []int(nil) // where a run starts
		for i := max(lo, 1); i < hi; i++ {
			if spans[i].start < spans[i-1].start && len(runs) < maxRuns {
				runs = append(runs, i)
			}
			diff |= spans[i].start ^ spans[0].start
		}
		diffs[part], starts[part] = diff, runs
	})
	switch runs := slices.Concat(starts...); {
	case len(runs) == 0:
		return spans
	case len(runs) < maxRuns:
		return mergeRuns(spans, runs)
	case len(spans) < 4096:
		slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
		return spans
	}
	diff := uint64(0)
	for _, d := range diffs {
		diff |= d
	}
	other := makeLarge[span](len(spans), cap(spans))
	at := make([][1 << radixBits]uint32, workers)
	for shift := uint(0); shift < 64 && diff>>shift != 0; {
		if diff>>shift&1 == 0 {
			shift++
			continue
		}
		radixPass(other, spans, at, shift)
		spans, other = other, spans
		shift += radixBits
	}
	return spans
}

// mergeRuns sorts spans that are ascending but for the given indices, where
// another run starts.
func mergeRuns(spans []span, starts []int) []span {
	other := makeLarge[span](len(spans), cap(spans))
	starts = append(append([]int{0}, starts...), len(spans))
	for len(starts) > 2 {
		var next []int
		for k := 0; k+1 < len(starts); k += 2 {
			lo := starts[k]
			next = append(next, lo)
			if k+2 == len(starts) { // the last of an odd number
				copy(other[lo:], spans[lo:])
				break
			}
			merge(other[lo:starts[k+2]], spans[lo:starts[k+1]], spans[starts[k+1]:starts[k+2]])
		}
		spans, other = other, spans
		starts = append(next, len(spans))
	}
	return spans
}

// merge fills dst from a and b, both sorted; of equals those of a come first.
func merge(dst, a, b []span) {
	for len(a) > 0 && len(b) > 0 {
		// Runs of different allocators hardly mix: long stretches at once.
		n := gallop(a, func(s *span) bool { return s.start <= b[0].start })
		copy(dst, a[:n])
		dst, a = dst[n:], a[n:]
		if len(a) == 0 {
			break
		}
		n = gallop(b, func(s *span) bool { return s.start < a[0].start })
		copy(dst, b[:n])
		dst, b = dst[n:], b[n:]
	}
	copy(dst[copy(dst, a):], b)
}

// gallop returns how many of the first spans are before: fast where few are.
func gallop[T any](list []T, before func(*T) bool) int {
	n := 1
	for n <= len(list) && before(&list[n-1]) {
		n *= 2
	}
	lo, hi := n/2, min(n, len(list)+1)-1
	return lo + sort.Search(hi-lo, func(i int) bool { return !before(&list[lo+i]) })
}

// radixPass sorts src to dst by the bits from shift on; at has counters for
// each worker.
func radixPass(dst, src []span, at [][1 << radixBits]uint32, shift uint) {
	const mask = 1<<radixBits - 1
	clear(at) // also of those workers that get no share
	shares(len(at), len(src), func(part, lo, hi int) {
		n := &at[part]
		for i := lo; i < hi; i++ {
			n[src[i].start>>shift&mask]++
		}
	})
	sum := uint32(0)
	for k := range at[0] {
		for part := range at {
			at[part][k], sum = sum, sum+at[part][k]
		}
	}
	shares(len(at), len(src), func(part, lo, hi int) {
		n := &at[part]
		for i := lo; i < hi; i++ {
			k := src[i].start >> shift & mask
			dst[n[k]] = src[i]
			n[k]++
		}
	})
}
