package scanner

import "math/bits"

// A region is a run of 1<<marker.regionShift spans, of one zone, which are in
// the queue together.
const maxRegion = 9 // log2 of the spans in a region, at most

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

// scanPending scans the spans of region k that are to be scanned.
func (w *worker) scanPending(k uint32) {
	m := w.m
	from, to := m.spansIn(k)
	first, last := from>>6, (to+63)>>6
	z := &m.zones[m.x.zone(from)]
	z.mu.Lock()
	// What is marked from here on puts the region back.
	m.queued[k] = false
	w.pending = append(w.pending[:0], m.pending[first:last]...)
	clear(m.pending[first:last])
	z.mu.Unlock()
	for n, set := range w.pending {
		for ; set != 0; set &= set - 1 {
			i := (first+uint32(n))<<6 + uint32(bits.TrailingZeros64(set))
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
	w.follow(i)
	for _, t := range w.late {
		if to := w.m.x.primary(t.span(w.m.x)); to != i {
			w.visit(to, i, 0, atEdge)
		}
	}
	w.late = w.late[:0]
}
