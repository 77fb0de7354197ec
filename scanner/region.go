package scanner

import "math/bits"

// A region is a run of 1<<marker.regionShift spans, of one zone.
type region struct {
	queued bool   // it is in the queue, about to be, or being scanned
	limit  uint32 // of spans from this one on not all edges were noted
	edges  []edge // ascending
}

// An edge is a reference from a span, as its number in the region in the upper
// maxRegion bits, to a target, without zone.
type edge uint64

const (
	maxRegion  = 9 // log2 of the spans in a region, at most
	edgeShift  = 64 - maxRegion
	guessBelow = 4 // edges that a guess is below what is most likely
)

// spansIn returns the first span of region k, and the one behind its last.
func (m *marker) spansIn(k uint32) (from, to uint32) {
	return k << m.regionShift, min((k+1)<<m.regionShift, uint32(len(m.x.owners)))
}

// zoneEnd returns end, or a region before it behind which another zone begins
// than that of region k.
func (m *marker) zoneEnd(k, end uint32) uint32 {
	from, _ := m.spansIn(k)
	_, to := m.spansIn(end - 1)
	if last := m.x.zones[m.x.zone(from)+1].span; last < to {
		return last >> m.regionShift
	}
	return end
}

// follow does with the edges from span i of r what is done with words, or has
// it scanned, if they were not noted.
func (w *worker) follow(r *region, i uint32) {
	m := w.m
	if i >= r.limit {
		w.pend(i)
		return
	}
	from := edge(i&(1<<m.regionShift-1)) << edgeShift
	k := m.guess(r, i)
	if k > 0 && r.edges[k-1] >= from {
		k = 0
	}
	k += gallop(r.edges[k:], func(e *edge) bool { return *e < from })
	for ; k < len(r.edges) && r.edges[k]>>edgeShift == from>>edgeShift; k++ {
		w.late = append(w.late, m.x.inZone(target(r.edges[k]&(1<<edgeShift-1))))
	}
}

// guess returns somewhat less than where the edges from span i of r are: all
// spans that have some have more to be done, and are taken to have as many each.
func (m *marker) guess(r *region, i uint32) int {
	first := i >> m.regionShift << m.regionShift
	before, all := 0, 0
	for k := first >> 6; k < (first+1<<m.regionShift)>>6 && k < uint32(len(m.states)); k++ {
		more := m.states[k].more
		all += bits.OnesCount64(more)
		switch {
		case k == i>>6:
			more = more << (63 - i&63) << 1
			fallthrough
		case k < i>>6:
			before += bits.OnesCount64(more)
		}
	}
	return max(before*len(r.edges)/max(all, 1)-guessBelow, 0)
}

// scanPending scans the spans of region k that are to be scanned.
func (w *worker) scanPending(k uint32) {
	m := w.m
	r := &m.regions[k]
	from, to := m.spansIn(k)
	first, last := from>>6, (to+63)>>6
	z := &m.zones[m.x.zone(from)]
	z.mu.Lock()
	// What is marked from here on puts the region back.
	r.queued = false
	w.pending = append(w.pending[:0], m.pending[first:last]...)
	clear(m.pending[first:last])
	z.mu.Unlock()
	for n, set := range w.pending {
		for ; set != 0; set &= set - 1 {
			i := (first+uint32(n))<<6 + uint32(bits.TrailingZeros64(set))
			if i >= r.limit || has(m.special, i) {
				w.scanSpan(i)
			} else {
				w.visitEdges(r, i)
			}
		}
	}
	w.scanRun(m.in.Memory, true)
}

// visitEdges has visit see the edges from span i of r.
func (w *worker) visitEdges(r *region, i uint32) {
	w.follow(r, i)
	for _, t := range w.late {
		if to := w.m.x.primary(t.span(w.m.x)); to != i {
			w.visit(to, i, 0, atEdge)
		}
	}
	w.late = w.late[:0]
}
