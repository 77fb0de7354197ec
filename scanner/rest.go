package scanner

import "math/bits"

// maxRest is what share of all spans may be left for a rest to be made.
const maxRest = 8

// rest is what has not been reached and the noted edges among it, so close together
// that following them takes no miss in the cache: it may be one list of all that is
// left, whose members come to light one after the other.
type rest struct {
	m *marker
	// before is for each 64 spans how many before them are left. The number of a
	// span is how many before it are.
	before []uint32
	first  []uint32 // for each number its first edge; one more at the end
	to     []uint32 // numbers
	seen   []uint64 // a bit for each number
	queue  []uint32 // what was seen and not yet followed
}

// newRest returns nil where too much is left.
func (m *marker) newRest() *rest {
	r := &rest{m: m, before: make([]uint32, len(m.states)+1)}
	for k := range m.states {
		r.before[k+1] = r.before[k] + uint32(bits.OnesCount64(^m.states[k].reached))
	}
	left := r.before[len(m.states)]
	if int(left) > len(m.x.owners)/maxRest {
		return nil
	}
	r.seen = make([]uint64, left>>6+1)
	from, to := make([]uint32, 0, left), make([]target, 0, left)
	for k := range m.states {
		set := ^m.states[k].reached
		if set == 0 {
			continue
		}
		for e := range m.edgesOf(uint32(k), set) {
			from = append(from, r.before[k]+uint32(bits.OnesCount64(set&(1<<e.from()-1))))
			to = append(to, e.target())
		}
	}
	r.setEdges(from, to)
	return r
}

// setEdges sets the edges from numbers, ascending, to targets, without those to what
// is not left. Each loop reads from memory at random, and waits for many at a time.
func (r *rest) setEdges(from []uint32, targets []target) {
	x, states := r.m.x, r.m.states
	to := make([]uint32, len(targets))
	for k, t := range targets {
		to[k] = t.span(x)
	}
	n := 0
	for k, i := range to {
		to[n], from[n] = i, from[k]
		n += int(^states[i>>6].reached >> (i & 63) & 1)
	}
	r.first, r.to = make([]uint32, len(r.seen)<<6+1), to[:n]
	for k, i := range r.to {
		r.to[k] = r.number(i)
		r.first[from[k]+1] = uint32(k + 1)
	}
	for k := range r.first[1:] {
		r.first[k+1] = max(r.first[k+1], r.first[k])
	}
}

// number returns that of span i, which is left.
func (r *rest) number(i uint32) uint32 {
	return r.before[i>>6] + uint32(bits.OnesCount64(^r.m.states[i>>6].reached&(1<<(i&63)-1)))
}

// see sees what has that number, and all that edges lead to from there.
func (r *rest) see(n uint32) {
	for r.queue = append(r.queue, n); len(r.queue) > 0; {
		n := r.queue[len(r.queue)-1]
		r.queue = r.queue[:len(r.queue)-1]
		if !has(r.seen, n) {
			setBit(r.seen, n)
			r.queue = append(r.queue, r.to[r.first[n]:r.first[n+1]]...)
		}
	}
}

// markRest marks what w has found and all that noted edges lead to from there, and
// does for each that has no such edges what is to be done.
func (w *worker) markRest(r *rest) {
	m := w.m
	for _, t := range w.late {
		if i := t.span(m.x); !m.reached(i) {
			r.see(r.number(i))
		}
	}
	w.late = w.late[:0]
	n := uint32(0)
	for k := range m.states {
		s := &m.states[k]
		seen := uint64(0)
		for set := ^s.reached; set != 0; set &= set - 1 {
			if has(r.seen, n) {
				seen |= set & -set
			}
			n++
		}
		s.reached |= seen
		if m.noted[k].n != unnoted {
			seen &= m.special[k]
		}
		if seen &= s.more; seen != 0 {
			w.reachAll(uint32(k), seen)
		}
	}
}
