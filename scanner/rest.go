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

// restPart is that of one block.
type restPart struct {
	before, left uint32 // spans before it and in it
	from, to     []uint32
	edges        uint32 // before it
}

// newRest returns nil where too much is left.
func (m *marker) newRest(ws []*worker) (*rest, error) {
	r := &rest{m: m, before: make([]uint32, len(m.states))}
	parts := make([]restPart, m.blocks())
	err := m.eachBlock(ws, func(_ *worker, i, lo, hi int) { parts[i].left = r.count(lo, hi) })
	if err != nil {
		return nil, err
	}
	left := uint32(0)
	for i := range parts {
		parts[i].before = left
		left += parts[i].left
	}
	if int(left) > len(m.x.owners)/maxRest {
		return nil, nil
	}
	err = m.eachBlock(ws, func(_ *worker, i, lo, hi int) { r.setPart(&parts[i], lo, hi) })
	if err != nil {
		return nil, err
	}
	edges := uint32(0)
	for i := range parts {
		parts[i].edges = edges
		edges += uint32(len(parts[i].to))
	}
	r.seen, r.first, r.to = make([]uint64, left>>6+1), make([]uint32, left+1), make([]uint32, edges)
	r.first[left] = edges
	return r, m.eachBlock(ws, func(_ *worker, i, _, _ int) { r.setEdges(&parts[i]) })
}

// count sets before for [lo, hi), of what is left there, and returns how much is.
func (r *rest) count(lo, hi int) uint32 {
	n := uint32(0)
	for k := lo; k < hi; k++ {
		r.before[k] = n
		n += uint32(bits.OnesCount64(^r.m.states[k].reached))
	}
	return n
}

// setPart sets the edges of p, for [lo, hi): from numbers, ascending, to spans that are
// left. Each loop reads from memory at random, and waits for many at a time.
func (r *rest) setPart(p *restPart, lo, hi int) {
	x, states := r.m.x, r.m.states
	from, to := make([]uint32, 0, p.left), make([]target, 0, p.left)
	for k := lo; k < hi; k++ {
		r.before[k] += p.before
		set := ^states[k].reached
		if set == 0 {
			continue
		}
		for e := range r.m.edgesOf(uint32(k), set) {
			from = append(from, r.before[k]+uint32(bits.OnesCount64(set&(1<<e.from()-1))))
			to = append(to, e.target())
		}
	}
	p.to = make([]uint32, len(to))
	for k, t := range to {
		p.to[k] = t.span(x)
	}
	n := 0
	for k, i := range p.to {
		p.to[n], from[n] = i, from[k]
		n += int(^states[i>>6].reached >> (i & 63) & 1)
	}
	p.from, p.to = from[:n], p.to[:n]
}

// setEdges enters the edges of p.
func (r *rest) setEdges(p *restPart) {
	k := 0
	for n := p.before; n < p.before+p.left; n++ {
		r.first[n] = p.edges + uint32(k)
		for ; k < len(p.from) && p.from[k] == n; k++ {
			r.to[p.edges+uint32(k)] = r.number(p.to[k])
		}
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

// markRest marks what ws have found and all that noted edges lead to from there, and
// does for each that has no such edges what is to be done, if not too much is left.
func (m *marker) markRest(ws []*worker) error {
	r, err := m.newRest(ws)
	if r == nil || err != nil {
		return err
	}
	for _, w := range ws {
		for _, t := range w.late {
			if i := t.span(m.x); !m.reached(i) {
				r.see(r.number(i))
			}
		}
		w.late = w.late[:0]
	}
	return m.eachBlock(ws, func(w *worker, _, lo, hi int) {
		for k := lo; k < hi; k++ {
			w.markSeen(r, uint32(k))
		}
	})
}

// markSeen marks what r has seen of the k-th 64 spans.
func (w *worker) markSeen(r *rest, k uint32) {
	m, s := w.m, &w.m.states[k]
	n := r.before[k]
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
		w.reachAll(k, seen)
	}
}
