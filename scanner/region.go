package scanner

import (
	"cmp"
	"math/bits"
	"slices"
	"sort"
	"sync/atomic"
)

// A region is a run of 1<<marker.regionShift spans. Each is swept once: its
// memory is read from one end to the other, whether what it holds is reached
// already or not, since nearly all will be. What is referred to from objects
// that are not is noted, in case they will be.
type region struct {
	queued uint32 // it is in the queue, about to be, or being swept
	edges  []edge // by where they come from
	limit  uint32 // of spans from this one on not all edges were noted
}

// edge is a reference from one span to another.
type edge struct{ from, to uint32 }

// maxEdges bounds the edges of a region, for each of its spans.
const maxEdges = 2

// region does what there is to do in region k.
func (w *worker) region(k uint32) {
	if r := &w.m.regions[k]; atomic.LoadUint32(&w.m.swept[k]) == 0 {
		w.sweepRegion(k, r)
		if !w.m.isPending(k) || !atomic.CompareAndSwapUint32(&r.queued, 0, 1) {
			return
		}
	}
	w.scanPending(k)
}

// spansIn returns the first span of region k, and the one behind its last.
func (m *marker) spansIn(k uint32) (from, to uint32) {
	return k << m.regionShift, min((k+1)<<m.regionShift, uint32(len(m.x.owners)))
}

// sweepRegion reads region k, which is marked as queued, for the first time.
func (w *worker) sweepRegion(k uint32, r *region) {
	m := w.m
	from, to := m.spansIn(k)
	r.limit = to
	// Only now: what is marked before is seen to be when its words are.
	atomic.StoreUint32(&m.swept[k], 1)
	w.sweep, w.edges, w.failed = r, w.edges[:0], false
	for i := from; i < to && !w.failed; {
		i = w.sweepSome(i, to)
	}
	w.resolve()
	w.sweep = nil
	r.edges = slices.Clone(w.edges)
	// They are but for those to huge objects, which are found first.
	slices.SortFunc(r.edges, func(a, b edge) int { return cmp.Compare(a.from, b.from) })
	if w.failed {
		// From there on, what is reached is scanned by itself.
		for i := r.limit; i < to; i++ {
			if !has(m.special, i) && !has(m.x.gaps, i) && m.reached(i) {
				m.set(m.pending, i)
			}
		}
	}
	atomic.StoreUint32(&r.queued, 0)
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
	stop := next(m.special, i, to)
	for i = next(x.gaps, i, stop); i < stop && x.starts[i+1]-x.starts[i] <= maxGap; {
		i = next(x.gaps, i+1, stop)
	}
	last := i - 1
	for has(x.gaps, last) {
		last--
	}
	if p, ok := m.words(stretch{x.starts[first], x.last(last), none}); ok {
		w.run = append(w.run[:0], p)
		w.scanRun(m.in.Memory, true)
	}
	if w.failed {
		w.sweep.limit = min(w.sweep.limit, first)
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

// hold keeps of the first n spans in the batch, which a sweep found words that
// point to, those of which the word is in an object that is reached, and returns
// how many. If it is in another the edge is noted.
func (w *worker) hold(n int) int {
	b := &w.batch
	kept := 0
	for i, to := range b.span[:n] {
		b.span[kept] = to
		if w.holds(w.base+uint64(b.off[i]), to) {
			kept++
		}
	}
	return kept
}

// holds says whether the word at an address, which a sweep found to point to
// span to, is in an object that is reached. If it is in another the edge is
// noted.
func (w *worker) holds(at uint64, to uint32) bool {
	m, x, r := w.m, w.m.x, w.sweep
	from := x.at(x.chunkOf(at).unit(at), at) // what is swept is in a chunk
	switch {
	case has(x.gaps, from) || x.starts[from+1]-at < m.f.size:
		return false // not a word of one object
	case m.reached(from):
		return true
	case from >= r.limit:
	case len(w.edges) < maxEdges<<m.regionShift:
		w.edges = append(w.edges, edge{from, to})
	default:
		r.limit = from
	}
	return false
}

// isPending says whether there is something to scan in region k.
func (m *marker) isPending(k uint32) bool {
	from, to := m.spansIn(k)
	for i := from; i < to; i += 64 {
		if atomic.LoadUint64(&m.pending[i>>6]) != 0 {
			return true
		}
	}
	return false
}

// scanPending scans the spans of region k that are to be scanned.
func (w *worker) scanPending(k uint32) {
	m := w.m
	r := &m.regions[k]
	// First of all: what is marked from here on puts the region back.
	atomic.StoreUint32(&r.queued, 0)
	from, to := m.spansIn(k)
	for first := from; first < to; first += 64 {
		word := &m.pending[first>>6]
		if atomic.LoadUint64(word) == 0 {
			continue
		}
		for set := atomic.SwapUint64(word, 0); set != 0; set &= set - 1 {
			i := first + uint32(bits.TrailingZeros64(set))
			if i >= r.limit || has(m.special, i) {
				w.scanSpan(i)
			} else {
				w.follow(r.edges, i)
			}
		}
	}
	w.scanRun(m.in.Memory, true)
	w.resolve()
}

// follow does with the edges from span i what is done with words.
func (w *worker) follow(edges []edge, i uint32) {
	k := sort.Search(len(edges), func(k int) bool { return edges[k].from >= i })
	for ; k < len(edges) && edges[k].from == i; k++ {
		switch to := edges[k].to; {
		case w.visit == nil:
			w.mark(to)
		case w.m.x.primary(to) != i:
			w.visit(w.m.x.primary(to), i, 0, atEdge)
		}
	}
}
