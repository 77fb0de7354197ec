package scanner

import "sync/atomic"

// batch is how many hits are resolved together: enough for their cache misses
// to overlap, few enough for what they touched to stay in the cache.
const batch = 256

// resolved are a batch of hits on their way to spans.
type resolved struct {
	word [batch]uint64
	unit [batch]uint64 // see Index.unit
	span [batch]uint32
	off  [batch]uint32
}

// push adds a word in one of the bands, which is not from a sweep.
func (w *worker) push(word uint64) {
	w.hits.add(word, 0, 1)
	if w.hits.n >= batch {
		w.resolve()
	}
}

// resolve marks what the hits point to.
func (w *worker) resolve() {
	h := &w.hits
	for first := 0; first < h.n; first += batch {
		w.resolveSome(h.word[first:min(first+batch, h.n)], h.off[first:])
	}
	h.n = 0
	if len(w.late) > 0 {
		w.resolveLate()
	}
}

// resolveSome does so for at most a batch, in loops that are short, so that the
// processor is in many rounds of one at once and what it waits for overlaps.
// What they have to do is as good as random: a branch on that would be guessed
// wrong every other time.
func (w *worker) resolveSome(words []uint64, offs []uint32) {
	m, x := w.m, w.m.x
	b := &w.batch
	n := 0
	for i, word := range words {
		c := x.chunkOf(word)
		if c == nil {
			if span, ok := x.findHuge(word); ok {
				w.found(span, w.base+uint64(offs[i]))
			}
			continue
		}
		b.word[n], b.off[n], b.unit[n] = word, offs[i], c.unit(word)
		n++
	}
	for i, unit := range b.unit[:n] {
		b.span[i] = x.at(unit, b.word[i])
	}
	white := 0
	for i, span := range b.span[:n] {
		b.span[white], b.off[white] = span, b.off[i]
		white += int(m.white(span))
	}
	if w.sweep != nil {
		white = w.hold(white)
	}
	for _, span := range b.span[:white] {
		w.mark(span)
	}
}

// found is told that the word at an address points to span i.
func (w *worker) found(i uint32, at uint64) {
	if !w.m.reached(i) && (w.sweep == nil || w.holds(at, i)) {
		w.mark(i)
	}
}

// resolveLate marks what resolving brought to light by edges.
func (w *worker) resolveLate() {
	for len(w.late) > 0 {
		word := w.late[len(w.late)-1]
		w.late = w.late[:len(w.late)-1]
		if i, ok := w.m.x.find(word); ok {
			w.mark(i)
		}
	}
}

// white is 1 if span i is not marked, else 0.
func (m *marker) white(i uint32) uint64 { return ^atomic.LoadUint64(&m.marks[i>>6]) >> (i & 63) & 1 }

// reached says whether span i is marked.
func (m *marker) reached(i uint32) bool { return m.white(i) == 0 }

// set sets bit i and says whether it was not.
func (m *marker) set(bits []uint64, i uint32) bool {
	word, bit := &bits[i>>6], uint64(1)<<(i&63)
	if m.alone {
		old := *word
		*word = old | bit
		return old&bit == 0
	}
	return atomic.LoadUint64(word)&bit == 0 && atomic.OrUint64(word, bit)&bit == 0
}

// mark marks span i as reached.
func (w *worker) mark(i uint32) {
	m := w.m
	switch {
	case has(m.special, i):
		w.markObject(i)
	case !m.set(m.marks, i):
	case atomic.LoadUint32(&m.swept[i>>m.regionShift]) != 0:
		w.pend(i)
	}
}

// markObject marks the object of span i, and what hangs on it.
func (w *worker) markObject(i uint32) {
	m := w.m
	spans := m.x.spansOf(i)
	if !m.set(m.marks, spans[0]) {
		return
	}
	for _, i := range spans[1:] {
		m.set(m.marks, i)
	}
	obj := m.x.owners[i]
	o := &m.in.Objects[obj]
	if o.Flag&Ignore != 0 {
		return
	}
	w.late = append(w.late, m.edges[obj]...)
	if o.Flag&NoScan == 0 {
		for _, i := range spans {
			w.pend(i)
		}
	}
}

// pend has span i scanned.
func (w *worker) pend(i uint32) {
	m := w.m
	m.set(m.pending, i)
	k := i >> m.regionShift
	r := &m.regions[k]
	if atomic.LoadUint32(&r.queued) == 0 && atomic.CompareAndSwapUint32(&r.queued, 0, 1) {
		w.out = append(w.out, k)
	}
}
