package scanner

import "math/bits"

// state is that of 64 spans, a bit for each.
type state struct {
	// reached are those that were, and the gaps, which nothing is to be done about.
	reached uint64
	// more says that there is more to be done when a span is reached.
	more uint64
}

// mark marks a span of s, and says whether it was not and there is more to be done.
func (s *state) mark(i uint32) bool {
	more := s.more &^ s.reached >> (i & 63) & 1
	s.reached |= 1 << (i & 63)
	return more != 0
}

// reached says whether span i is marked.
func (m *marker) reached(i uint32) bool { return m.states[i>>6].reached>>(i&63)&1 != 0 }

// setMore says that there is more to be done when span i is reached.
func (m *marker) setMore(i uint32) { m.states[i>>6].more |= 1 << (i & 63) }

// marks are what one worker has found something to point to. Others read them.
type marks struct {
	units []uint64 // a bit for each unit of the index
	spans []uint64 // for each span, where the unit does not say it
}

// refer notes that something points to t.
func (w *worker) refer(t target) {
	switch {
	case w.m.exact:
		w.late = append(w.late, t)
	case t&direct != 0:
		orBit(w.marks.spans, uint64(t&^direct))
	default:
		orBit(w.marks.units, uint64(t))
	}
}

// referWord notes what a word points to.
func (w *worker) referWord(word uint64) {
	if t, ok := w.m.x.target(word); ok {
		w.refer(t)
	}
}

// reachAll does what is to be done when the k-th 64 spans, those in set, have been
// reached.
func (w *worker) reachAll(k uint32, set uint64) {
	m := w.m
	w.reached += bits.OnesCount64(set)
	single := set & m.special[k]
	if m.noted[k].n == unnoted {
		single = set
	} else if set &^= single; set != 0 {
		for e := range m.edgesOf(k, set) {
			w.refer(e.target())
		}
	}
	for ; single != 0; single &= single - 1 {
		w.reachOne(k<<6 + uint32(bits.TrailingZeros64(single)))
	}
}

// reachOne does so with span i, which has no edges that were noted.
func (w *worker) reachOne(i uint32) {
	m := w.m
	if !has(m.special, i) {
		w.pend(i)
		return
	}
	o := &m.in.Objects[m.x.owners[i]]
	if o.Flag&Ignore != 0 {
		return
	}
	// The first has all others marked.
	if spans := m.x.spansOf(i); spans[0] != i {
		w.refer(direct | target(spans[0]))
	} else {
		for _, other := range spans[1:] {
			w.refer(direct | target(other))
		}
		for _, word := range m.edges[m.x.owners[i]] {
			w.referWord(word)
		}
	}
	if o.Flag&NoScan == 0 {
		w.pend(i)
	}
}

// pend has span i scanned by itself.
func (w *worker) pend(i uint32) {
	m := w.m
	setBit(m.pending, i)
	if k := i >> regionBits; !m.queued[k] {
		m.queued[k] = true
		w.out = append(w.out, k)
	}
}
