package liveset

import (
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Sorted returns copies of all records by ascending address.
func (s *Set[R]) Sorted() []R {
	order := make([]place, s.n)
	for i := range order {
		order[i] = place{uint64(s.key(uint32(i))), uint32(i)}
	}
	order = sortPlaces(order)
	out := make([]R, s.n)
	for i, p := range order {
		out[i] = *s.record(p.i)
	}
	return out
}

// Covering returns the record whose allocation a lies in, its first byte
// included even where its size is zero; of several the one that starts last.
// It looks at every record.
func (s *Set[R]) Covering(a guestmem.GVA) *R {
	var best *R
	var bestStart guestmem.GVA
	for r := range s.All() {
		start, size := s.extent(r)
		if a >= start && uint64(a-start) < max(size, 1) && (best == nil || start > bestStart) {
			best, bestStart = r, start
		}
	}
	return best
}

// place is a record's number with its key.
type place struct {
	key uint64
	i   uint32
}

// sortPlaces sorts by key: a radix sort over the bits in which keys differ.
// It may return other memory than it was given.
func sortPlaces(p []place) []place {
	if len(p) < 2048 {
		sort.Slice(p, func(i, j int) bool { return p[i].key < p[j].key })
		return p
	}
	const bits = 11
	diff := uint64(0)
	for i := range p {
		diff |= p[i].key ^ p[0].key
	}
	other := make([]place, len(p))
	for shift := 0; shift < 64 && diff>>shift != 0; {
		if diff>>shift&1 == 0 {
			shift++
			continue
		}
		var at [1 << bits]int
		for i := range p {
			at[p[i].key>>shift&(1<<bits-1)]++
		}
		sum := 0
		for i, n := range at {
			at[i], sum = sum, sum+n
		}
		for _, v := range p {
			k := v.key >> shift & (1<<bits - 1)
			other[at[k]] = v
			at[k]++
		}
		p, other = other, p
		shift += bits
	}
	return p
}
