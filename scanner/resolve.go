package scanner

import "sync/atomic"

// batch is how many candidates are resolved together: enough for their cache
// misses to overlap, few enough for what they touched to stay in the cache.
const batch = 256

// cand is a word that may point into an object.
type cand struct {
	word   uint64
	bucket uint64 // see index.bucket
	from   uint32 // first span of the object that holds the word
	guess  uint32 // span, see index.guess
}

// push adds a candidate, a word in one of the bands.
func (w *worker) push(word uint64, from uint32) {
	w.cands = append(w.cands, cand{word: word, from: from})
	if len(w.cands) == batch {
		w.resolve()
	}
}

// resolve marks what the candidates point to. Each of its loops waits for
// one level of memory, and is so short that the processor is in many rounds
// of it at once: what it waits for overlaps.
func (w *worker) resolve() {
	x := w.m.x
	n := 0
	for i := range w.cands {
		c := &w.cands[i]
		if b, ok := x.bucket(c.word); ok {
			w.cands[n] = cand{word: c.word, bucket: b, from: c.from}
			n++
		} else if i, ok := x.findHuge(c.word); ok {
			w.mark(i, c.from)
		}
	}
	cands := w.cands[:n]
	for i := range cands {
		cands[i].guess = x.guess(cands[i].bucket)
	}
	touched := uint64(0)
	for i := range cands {
		touched += x.spans[cands[i].guess].start
	}
	w.touched = touched // or the compiler drops the loads
	for i := range cands {
		c := &cands[i]
		if i, ok := x.settle(c.word, c.guess); ok {
			w.mark(i, c.from)
		}
	}
	w.cands = w.cands[:0]
	if len(w.late) > 0 {
		w.resolveLate()
	}
}

// resolveLate marks what resolving brought to light by edges.
func (w *worker) resolveLate() {
	for len(w.late) > 0 {
		c := w.late[len(w.late)-1]
		w.late = w.late[:len(w.late)-1]
		if i, ok := w.m.x.find(c.word); ok {
			w.mark(i, c.from)
		}
	}
}

// mark counts a reference to span i from the object of span from.
func (w *worker) mark(i, from uint32) {
	if i = w.m.x.primary(i); i == from {
		return
	}
	c := &w.m.x.spans[i].count
	// Full counts are left alone, for the sake of objects to which half of
	// the memory points. Whoever counts first has the object scanned.
	if atomic.LoadUint32(c)&countMask < countMax && atomic.AddUint32(c, 1) == 1 {
		w.reach(i)
	}
}

// reach has the object of span i, its first, scanned.
func (w *worker) reach(i uint32) {
	m := w.m
	if m.x.spans[i].size&special == 0 {
		w.pend(i)
		return
	}
	obj := m.x.objects[i]
	o := &m.in.Objects[obj]
	if o.Flag&Ignore != 0 {
		return
	}
	for _, to := range m.edges[obj] {
		w.late = append(w.late, cand{word: to, from: i})
	}
	if o.Flag&NoScan == 0 {
		for _, i := range m.x.spansOf(i) {
			w.pend(i)
		}
	}
}

// pend has span i scanned.
func (w *worker) pend(i uint32) {
	m := w.m
	atomic.OrUint64(&m.pending[i>>6], 1<<(i&63))
	r := i >> m.regionShift
	if atomic.LoadUint32(&m.queued[r]) == 0 && atomic.CompareAndSwapUint32(&m.queued[r], 0, 1) {
		w.out = append(w.out, r)
	}
}
