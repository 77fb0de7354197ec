package scanner

// state is that of 64 spans, a bit for each.
type state struct {
	// reached are those that were, and the gaps, which nothing is to be done about.
	reached uint64
	// more says that there is more to be done when a span is reached.
	more uint64
}

// mark marks a span of s, and returns 1 if it was not and there is more to be
// done, else 0.
func (s *state) mark(i uint32) int {
	more := int(s.more &^ s.reached >> (i & 63) & 1)
	s.reached |= 1 << (i & 63)
	return more
}

// markAll marks what targets, at most boxTargets of them, point to, in a zone
// that is w's.
func (w *worker) markAll(zone uint8, targets []target) {
	x := w.m.x
	spans := w.spans[:len(targets)]
	w.m.f.look(x, targets, spans)
	z := &x.zones[zone]
	first, size := z.span, x.zones[zone+1].span-z.span
	i, n := 0, 0
	for {
		if i, n = w.m.f.mark(w.m.states, spans, first, size, i, n); i == len(spans) {
			break
		}
		span := x.settleUneven(spans[i], targets[i])
		if span-first < size {
			spans[i] = span
			continue
		}
		w.late = append(w.late, x.direct(span))
		i++
	}
	for _, i := range spans[:n] {
		w.reach(i)
	}
}

// reached says whether span i, which is in a zone that is the caller's, is
// marked.
func (m *marker) reached(i uint32) bool { return m.states[i>>6].reached>>(i&63)&1 != 0 }

// setMore says that there is more to be done when span i, which is in a zone that
// is the caller's, is reached.
func (m *marker) setMore(i uint32) { m.states[i>>6].more |= 1 << (i & 63) }

// reach does what is to be done when span i, which is in a zone that is w's, has
// been reached.
func (w *worker) reach(i uint32) {
	m := w.m
	if !has(m.special, i) {
		w.follow(i)
		return
	}
	o := &m.in.Objects[m.x.owners[i]]
	if o.Flag&Ignore != 0 {
		return
	}
	// Others may be in other zones. The first has them all marked.
	if spans := m.x.spansOf(i); spans[0] != i {
		w.late = append(w.late, m.x.direct(spans[0]))
	} else {
		for _, other := range spans[1:] {
			w.late = append(w.late, m.x.direct(other))
		}
		for _, word := range m.edges[m.x.owners[i]] {
			if t, ok := m.x.target(word); ok {
				w.late = append(w.late, t)
			}
		}
	}
	if o.Flag&NoScan == 0 {
		w.pend(i)
	}
}

// pend has span i, which is in a zone that is w's, scanned by itself.
func (w *worker) pend(i uint32) {
	m := w.m
	setBit(m.pending, i)
	if k := i >> m.regionShift; !m.queued[k] {
		m.queued[k] = true
		w.out = append(w.out, k)
	}
}
