package scanner

import (
	"cmp"
	"slices"
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

// sortSpans sorts by start: a stable radix sort over the bits in which the
// starts differ. It may return other memory than it was given.
func sortSpans(spans []span, workers int) []span {
	diffs, descents := make([]uint64, workers), make([]bool, workers)
	shares(workers, len(spans), func(part, lo, hi int) {
		diff, descent := uint64(0), false
		for i := max(lo, 1); i < hi; i++ {
			descent = descent || spans[i].start < spans[i-1].start
			diff |= spans[i].start ^ spans[0].start
		}
		diffs[part], descents[part] = diff, descent
	})
	if !slices.Contains(descents, true) {
		return spans
	}
	if len(spans) < 4096 {
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

// radixPass sorts src to dst by the bits from shift on; at has counters for
// each worker.
func radixPass(dst, src []span, at [][1 << radixBits]uint32, shift uint) {
	const mask = 1<<radixBits - 1
	clear(at) // of few spans only the first worker takes a share
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
