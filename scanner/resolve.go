package scanner

import "sync/atomic"

// batch is how many candidates are resolved together: enough for their cache
// misses to overlap, few enough for what they touched to stay in the cache.
const batch = 256

// cand is a word that may point into an object.
type cand struct {
	word          uint64
	from          uint32 // object that holds the word
	guess, lo, hi uint32 // spans, see locate
}

// push adds a candidate.
func (w *worker) push(word uint64, from uint32) {
	w.cands = append(w.cands, cand{word: word, from: from})
	if len(w.cands) == batch {
		w.resolve()
	}
}

// resolve marks what the candidates point to. It goes over them in steps
// that each wait for one level of memory only, without branches that depend
// on what is waited for.
func (w *worker) resolve() {
	x, counts := w.m.x, w.m.counts
	for len(w.cands) > 0 {
		n := 0
		for _, c := range w.cands {
			var ok bool
			if c.guess, c.lo, c.hi, ok = x.locate(c.word); ok {
				w.cands[n] = c
				n++
			}
		}
		w.cands = w.cands[:n]
		touched := uint64(0)
		for i := range w.cands {
			g := w.cands[i].guess
			touched += x.spans[g].start + uint64(atomic.LoadUint32(&counts[g]))
		}
		w.touched = touched // or the compiler drops the loads
		for i := range w.cands {
			c := &w.cands[i]
			if i, ok := x.settle(c.word, c.guess, c.lo, c.hi); ok && x.spans[i].obj != c.from {
				if w.visit != nil {
					w.visit(i, c.from)
				} else {
					w.mark(i)
				}
			}
		}
		w.cands = append(w.cands[:0], w.late...)
		w.late = w.late[:0]
	}
}

// mark counts a reference to span i.
func (w *worker) mark(i uint32) {
	i = w.m.x.primary(i)
	c := &w.m.counts[i]
	// Full counts are left alone, for the sake of objects to which half of
	// the memory points. Whoever counts first has the object scanned.
	if atomic.LoadUint32(c)&countMask < countMax && atomic.AddUint32(c, 1) == 1 {
		w.reach(i)
	}
}

// reach has the object of span i, its first, scanned.
func (w *worker) reach(i uint32) {
	m := w.m
	s := &m.x.spans[i]
	if s.size&special == 0 {
		w.pend(i)
		return
	}
	o := &m.in.Objects[s.obj]
	if o.Flag&Ignore != 0 {
		return
	}
	for _, to := range m.edges[s.obj] {
		w.late = append(w.late, cand{word: to, from: s.obj})
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
