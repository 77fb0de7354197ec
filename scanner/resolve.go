package scanner

import (
	"math/bits"
	"sync/atomic"
)

// batch is how many candidates are resolved together: enough for their cache
// misses to overlap, few enough for what they touched to stay in the cache.
const batch = 256

// cand is a word that may point into an object.
type cand struct {
	word uint64
	at   uint64 // its address, in a sweep
	unit uint64 // see Index.unit; then the span
}

// pushAll adds those of the words of b, the first at address at, for which a
// bit is set.
func (w *worker) pushAll(masks []uint64, b []byte, at uint64) {
	f := &w.m.f
	n := len(w.cands)
	cands := w.cands[:batch]
	for _, set := range masks {
		// Mostly there is none or one: the first is taken unseen, since a branch
		// on that is guessed wrong every other time.
		for {
			off := bits.TrailingZeros64(set) & 63 << f.shift
			cands[n] = cand{word: f.word(b[off:]), at: at + uint64(off)}
			if set != 0 {
				n++
			}
			if n == batch {
				w.cands = cands
				w.resolve()
				n = 0
			}
			if set &= set - 1; set == 0 {
				break
			}
		}
		step := min(64<<f.shift, len(b))
		b, at = b[step:], at+uint64(step)
	}
	w.cands = cands[:n]
}

// push adds a candidate, a word in one of the bands.
func (w *worker) push(word, at uint64) {
	w.cands = append(w.cands, cand{word: word, at: at})
	if len(w.cands) == batch {
		w.resolve()
	}
}

// resolve marks what the candidates point to. Its first loop waits for memory
// only, and is so short that the processor is in many rounds of it at once:
// what it waits for overlaps.
func (w *worker) resolve() {
	x := w.m.x
	n := 0
	for i := range w.cands {
		c := w.cands[i]
		if ch := x.chunkOf(c.word); ch != nil {
			c.unit = ch.unit(c.word)
			w.cands[n] = c
			n++
		} else if i, ok := x.findHuge(c.word); ok {
			w.found(i, c.at)
		}
	}
	cands := w.cands[:n]
	touched := uint64(0)
	for i := range cands {
		touched += x.granules[cands[i].unit>>unitBits].starts
	}
	w.touched = touched // or the compiler drops the loads
	for i := range cands {
		c := &cands[i]
		w.found(x.at(c.unit, c.word), c.at)
	}
	w.cands = w.cands[:0]
	if len(w.late) > 0 {
		w.resolveLate()
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

// reached says whether span i is marked.
func (m *marker) reached(i uint32) bool {
	if m.alone {
		return has(m.marks, i)
	}
	return atomic.LoadUint64(&m.marks[i>>6])>>(i&63)&1 != 0
}

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
