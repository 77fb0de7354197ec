package scanner

import "math/bits"

// sweep is a worker's work on some regions: their memory is read from one end to
// the other, once, whether what it holds is reached already or not, since nearly
// all will be. What is referred to from objects that are not is
// noted, in case they will be.
type sweep struct {
	on     bool   // one is going on
	chunk  *chunk // that is being read
	held   int    // words that were in objects not reached
	pen    pen
	others [siftWords]uint32 // see hold
	// failed says that the memory at an address cannot be read.
	failed   bool
	failedAt uint64
}

// sweepRegions sweeps regions [k, end).
func (w *worker) sweepRegions(k, end uint32) {
	for i := k; i < end; i++ {
		w.resolve(i)
	}
	w.sweep.on = true
	from, _ := w.m.x.spansIn(k)
	_, to := w.m.x.spansIn(end - 1)
	for i := from; i < to; {
		i = w.sweepSome(i, to)
	}
	w.sweep.on = false
	for ; k < end; k++ {
		w.scanPending(k)
	}
}

// sweepSome reads plain objects from span i on, as far as they lie close
// together, and returns the span where it ended.
func (w *worker) sweepSome(i, to uint32) uint32 {
	m, x := w.m, w.m.x
	for i < to && (has(m.special, i) || has(x.gaps, i)) {
		i++
	}
	if i == to {
		return to
	}
	first := i
	i = next(x.wide, i, next(m.special, i, to))
	last := i - 1
	for has(x.gaps, last) {
		last--
	}
	p, ok := m.words(stretch{x.starts[first], x.last(last), none})
	if !ok {
		return i
	}
	w.sweep.failed = false
	w.run = append(w.run[:0], p)
	w.scanRun(m.in.Memory, true)
	if w.sweep.failed {
		return w.giveUp(first, i)
	}
	return i
}

// giveUp has the spans from first on, up to the end of the region in which
// memory cannot be read, scanned one by one. It returns the one behind them, at
// most to.
func (w *worker) giveUp(first, to uint32) uint32 {
	m, x := w.m, w.m.x
	i := first
	for k := first >> regionBits; i < to && x.starts[i] <= w.sweep.failedAt; k++ {
		for _, end := x.spansIn(k); i < min(end, to); i++ {
			m.noted[i>>6].n = unnoted
			switch {
			case has(m.special, i) || has(x.gaps, i):
			case m.reached(i):
				setBit(m.pending, i)
			default:
				m.setMore(i)
			}
		}
	}
	return i
}

// next returns the first bit of [i, to) that is set, or to.
func next(set []uint64, i, to uint32) uint32 {
	for ; i < to; i = i&^63 + 64 {
		if rest := set[i>>6] >> (i & 63); rest != 0 {
			return min(i+uint32(bits.TrailingZeros64(rest)), to)
		}
	}
	return to
}

// hold keeps of the hits, in b at address at, those in objects that are reached.
// Of those in others edges are noted.
func (w *worker) hold(b []byte, at uint64) {
	m, h, s := w.m, &w.hits, &w.sweep
	offs := h.off[:h.n]
	h.n = 0
	for len(offs) > 0 {
		a := at + uint64(offs[0])
		if s.chunk == nil || s.chunk.key&^rough != a>>chunkShift {
			s.chunk = m.x.chunkOf(a) // what is swept is in one
		}
		some := offs[:min(len(offs), siftWords)]
		first := s.chunk.start()
		for end := first + 1<<chunkShift - 1; at+uint64(some[len(some)-1]) > end; {
			some = some[:len(some)-1]
		}
		n, rest := m.f.sift(m.states, m.x, s.chunk, uint32(at-first), h.off[h.n:], some, &s.others)
		h.n += n
		s.held += rest
		for _, off := range s.others[:rest] {
			w.holdOther(at+uint64(off), off, b)
		}
		offs = offs[len(some):]
	}
}

// holdOther does so with the word at address a, behind off in b, that is not
// seen at once to be in a reached object.
func (w *worker) holdOther(a uint64, off uint32, b []byte) {
	m, x := w.m, w.m.x
	c := w.sweep.chunk
	from := x.findIn(c, a)
	if c.key&rough != 0 && x.starts[from+1]-a < m.f.size {
		return // not a word of one object
	}
	switch {
	case has(x.gaps, from):
	case m.reached(from):
		w.hits.add(off, 1)
	default:
		if to, ok := x.target(m.f.word(b[off:])); ok {
			m.setMore(from)
			w.sweep.pen.note(&m.arenas, &m.noted[from>>6], from, to)
		}
	}
}
