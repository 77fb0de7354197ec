package scanner

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// All workers together have at most marksBytes of marks for each span, or minMarks.
const (
	marksBytes = 24
	minMarks   = 64 << 20
)

// marker is what the workers of a scan share.
type marker struct {
	in      *Input
	x       *Index
	f       format
	exclude []gvaRange          // sorted, disjoint
	edges   map[uint32][]uint64 // by object
	loose   []uint64            // edges from roots

	// A bit for each span: special as in the index, and those with edges;
	// pending for what is to be scanned.
	special, pending []uint64
	states           []state
	arenas           arenas
	noted            []edges // of each 64 spans
	queued           []bool  // regions that are to be scanned
	marks            []marks // of each worker
	exact            bool    // what is found is not marked but added to the worker's late
	workers          int
	team             *team
}

// newMarker errs with ErrInput as Scan does.
func newMarker(in *Input, o *Options) (*marker, error) {
	switch {
	case in.WordSize != 4 && in.WordSize != 8:
		return nil, errWordSize(in.WordSize)
	case in.Order == nil:
		return nil, fmt.Errorf("%w: no byte order", ErrInput)
	case in.Memory == nil:
		return nil, fmt.Errorf("%w: no memory", ErrInput)
	}
	workers := o.workers()
	m := &marker{in: in, f: newFormat(in), x: in.Index}
	switch {
	case m.x == nil:
		var err error
		if m.x, err = NewIndex(in.Objects, in.WordSize, workers); err != nil {
			return nil, err
		}
	case len(m.x.objects) != len(in.Objects) || m.x.wordSize != in.WordSize:
		return nil, fmt.Errorf("%w: an index of %d objects and words of %d bytes, for %d and %d", ErrInput,
			len(m.x.objects), m.x.wordSize, len(in.Objects), in.WordSize)
	}
	m.workers = m.x.maxWorkers(workers)
	m.exclude = normal(in.Exclude)
	m.special = slices.Clone(m.x.special)
	for i := range m.specials {
		if o := m.x.owners[i]; int(in.Objects[o].Layout) > len(in.Layouts) || in.Objects[o].Layout < 0 {
			return nil, fmt.Errorf("%w: object %d has layout %d of %d", ErrInput, o, in.Objects[o].Layout, len(in.Layouts))
		}
	}
	m.setEdges()
	n := len(m.x.owners)
	m.pending, m.states = make([]uint64, len(m.special)), makeLarge[state](len(m.special), len(m.special))
	m.noted = make([]edges, len(m.special))
	for i := range m.states {
		m.states[i] = state{reached: m.x.gaps[i], more: m.special[i]}
	}
	m.queued = make([]bool, len(m.x.regions)-1)
	m.arenas.setRoom(n, m.workers)
	return m, nil
}

// maxWorkers returns how many of so many workers there can be, each with marks of its
// own.
func (x *Index) maxWorkers(workers int) int {
	each := 8*len(x.granules) + len(x.owners)/8 + 1
	return max(min(workers, max(marksBytes*len(x.owners), minMarks)/each), 1)
}

// normal returns ranges sorted and merged, without the empty ones.
func normal(ranges []gvaRange) []gvaRange {
	in := make([]gvaRange, 0, len(ranges))
	for _, r := range ranges {
		if r.Size() > 0 {
			in = append(in, r)
		}
	}
	slices.SortFunc(in, func(a, b gvaRange) int { return cmp.Compare(a.Start, b.Start) })
	out := in[:0]
	for _, r := range in {
		if n := len(out); n > 0 && r.Start <= out[n-1].End {
			out[n-1].End = max(out[n-1].End, r.End)
			continue
		}
		out = append(out, r)
	}
	return out
}

// firstExclude returns the first excluded range that ends behind a.
func (m *marker) firstExclude(a uint64) int {
	return sort.Search(len(m.exclude), func(i int) bool { return uint64(m.exclude[i].End) > a })
}

// setEdges sorts the edges by the object they come from.
func (m *marker) setEdges() {
	m.edges = map[uint32][]uint64{}
	var roots []gvaRange
	if len(m.in.Edges) > 0 {
		for _, r := range m.in.Roots {
			if r.Words == nil {
				roots = append(roots, r.Range)
			}
		}
		roots = normal(roots)
	}
	for _, e := range m.in.Edges {
		to := uint64(e.To)
		if m.x.bands.in(to) == 0 {
			continue
		}
		if i, ok := m.x.find(uint64(e.From)); ok {
			o := m.x.owners[i]
			for _, i := range m.x.spansOf(i) {
				setBit(m.special, i)
			}
			m.edges[o] = append(m.edges[o], to)
			continue
		}
		k := sort.Search(len(roots), func(i int) bool { return roots[i].End > e.From })
		if k < len(roots) && roots[k].Start <= e.From {
			m.loose = append(m.loose, to)
		}
	}
}

// words clips p to the words that lie wholly in it; ok is false where there
// are none.
func (m *marker) words(p stretch) (_ stretch, ok bool) {
	mask := m.f.size - 1
	start := (p.start + mask) &^ mask
	if start < p.start || start > p.last || p.start > p.last || p.last-start < mask {
		return p, false
	}
	n := (p.last - start) &^ mask // up to the last word, or behind it
	if p.last-start-n == mask {
		n += mask
	} else {
		n--
	}
	return stretch{start, start + n, p.from}, true
}

// rootJobs lists the roots' ranges as jobs, and their words.
func (m *marker) rootJobs(roots []Root) (list []job, words []uint64) {
	for i := range roots {
		r := &roots[i]
		if r.Words != nil {
			for _, w := range r.Words {
				if m.f.size == 4 {
					w = uint64(uint32(w))
				}
				if m.x.bands.in(w) != 0 {
					words = append(words, w)
				}
			}
			continue
		}
		if r.Range.Size() == 0 {
			continue
		}
		p, ok := m.words(stretch{uint64(r.Range.Start), uint64(r.Range.End - 1), none})
		if !ok {
			continue
		}
		j := job{stretch: p, mem: m.in.Memory, exclude: true}
		if r.Memory != nil {
			j.mem, j.exclude = r.Memory, false
		}
		list = append(list, j)
	}
	return list, words
}
