package scanner

import (
	"math/bits"
	"sync/atomic"
)

// A region is a run of spans that one worker at a time works on.
const (
	regionBits  = 8 // log2 of the spans in a region
	regionWords = 1 << regionBits / 64
	// A granule with a region's span can have units of 64 others before it, or
	// behind it; and there is a word that spread leaves free.
	foundWords = 1 + regionWords + 4
)

// spansIn returns the first span of region k, and the one behind its last.
func (x *Index) spansIn(k uint32) (from, to uint32) {
	return k << regionBits, min((k+1)<<regionBits, uint32(len(x.owners)))
}

// setRegions notes for each region the first granule that has units of its spans, or
// one before it, and behind the last the last granule. A granule of a rough chunk may
// say that fewer spans count to units up to its end than the one before.
func (x *Index) setRegions() {
	x.regions = make([]uint32, (len(x.owners)-1)>>regionBits+2)
	fill(x.regions, uint32(max(len(x.granules)-1, 0)))
	k := 0
	for i := range x.granules {
		g := &x.granules[i]
		counted := int(g.before&^uneven) + bits.OnesCount64(g.starts)
		for ; k<<regionBits < counted; k++ {
			x.regions[k] = uint32(i)
		}
	}
}

// resolve marks the spans of region k to which something points that is known by
// now, and does for each that was not marked what is to be done.
func (w *worker) resolve(k uint32) {
	m := w.m
	var found [foundWords]uint64
	if len(m.x.granules) > 0 {
		w.find(k, found[:])
	}
	at := int(k) * regionWords
	for n := range min(regionWords, len(m.states)-at) {
		s := &m.states[at+n]
		set := found[n+1]
		for i := range m.marks {
			set |= atomic.LoadUint64(&m.marks[i].spans[at+n])
		}
		set &^= s.reached
		s.reached |= set
		if set &= s.more; set != 0 {
			w.reachAll(uint32(at+n), set)
		}
	}
}

// find sets in found, from its second word on, the spans of region k whose units
// are marked.
func (w *worker) find(k uint32, found []uint64) {
	m, x := w.m, w.m.x
	for first, end := x.regions[k], x.regions[k+1]+1; first < end; {
		n := min(end-first, uint32(len(w.merged)))
		units := m.marks[0].units[first : first+n]
		if len(m.marks) > 1 {
			for i := range n {
				set := uint64(0)
				for j := range m.marks {
					set |= atomic.LoadUint64(&m.marks[j].units[first+i])
				}
				w.merged[i] = set
			}
			units = w.merged[:n]
		}
		m.f.spread(x.granules[first:first+n], units, found, k<<regionBits-64)
		first += n
	}
}

// scanPending scans the spans of region k that are to be scanned.
func (w *worker) scanPending(k uint32) {
	m := w.m
	from, to := m.x.spansIn(k)
	m.queued[k] = false
	for n := from >> 6; n < (to+63)>>6; n++ {
		set := m.pending[n]
		m.pending[n] = 0
		for ; set != 0; set &= set - 1 {
			i := n<<6 + uint32(bits.TrailingZeros64(set))
			if w.visit == nil || has(m.special, i) || m.noted[i>>6].n == unnoted {
				w.scanSpan(i)
			} else {
				w.visitEdges(i)
			}
		}
	}
	w.scanRun(m.in.Memory, true)
}

// visitEdges has visit see the edges from span i.
func (w *worker) visitEdges(i uint32) {
	m := w.m
	for e := range m.edgesOf(i>>6, 1<<(i&63)) {
		if to := m.x.primary(e.target().span(m.x)); to != i {
			w.visit(to, i, 0, atEdge)
		}
	}
}
