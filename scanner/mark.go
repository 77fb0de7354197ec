package scanner

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

const (
	// A count is a number of references, with the bit rooted set for objects
	// that are reachable without any.
	rooted    = 1 << 31
	countMask = rooted - 1
	countMax  = math.MaxUint8
)

// marker is what the workers of a scan share.
type marker struct {
	in      *Input
	x       *index
	f       format
	exclude []gvaRange          // sorted, disjoint
	edges   map[uint32][]uint64 // by object
	loose   []uint64            // edges from roots

	pending []uint64 // bit for each span that is to be scanned
	// queued says for each region, a run of 1<<regionShift spans, that it is
	// in the queue or about to be.
	queued      []uint32
	regionShift uint
}

func newMarker(in *Input, workers int) *marker {
	m := &marker{in: in, f: newFormat(in), x: newIndex(in.Objects, in.WordSize, workers)}
	m.exclude = normal(in.Exclude)
	m.setEdges()
	n := len(m.x.spans)
	m.pending = make([]uint64, (n+63)/64)
	m.regionShift = 10
	for m.regionShift > 6 && n>>m.regionShift < 32*workers {
		m.regionShift--
	}
	m.queued = make([]uint32, n>>m.regionShift+1)
	return m
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
			for _, i := range m.x.spansOf(i) {
				m.x.spans[i].size |= special
			}
			o := m.x.objects[i]
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
func (m *marker) rootJobs(roots []Root) (jobs []job, words []uint64) {
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
		jobs = split(jobs, j)
	}
	return jobs, words
}
