package scanner

import (
	"math"
	"sync/atomic"
)

// An edge is a reference from a span, by its number among 64 in the upper bits,
// to a target.
type edge uint64

const (
	edgeShift = 58
	maxEdges  = 512 // from 64 spans
	meanEdges = 2   // from each span, at most, over all
	arenaBits = 13  // log2 of the edges that are allocated together
)

// edges are those from 64 spans that were not reached when they were swept,
// ascending: where the first is, as the number of an arena and, in arenaBits,
// the place in it, and how many.
type edges struct{ first, n uint32 }

// unnoted, as a number of edges, says that not all were noted: the spans are to
// be scanned.
const unnoted = math.MaxUint32

// arenas is where edges are.
type arenas struct {
	list [][]edge
	used atomic.Uint32
}

// setRoom makes room for the edges from so many spans, noted by so many workers.
func (a *arenas) setRoom(spans, workers int) {
	a.list = make([][]edge, spans*meanEdges>>arenaBits+workers)
}

// get returns edges that are noted, at least one.
func (a *arenas) get(e edges) []edge {
	return a.list[e.first>>arenaBits][e.first&(1<<arenaBits-1):][:e.n]
}

// pen is where a worker notes edges: behind what it noted before, in an arena
// that is its own.
type pen struct {
	arena  []edge
	number uint32 // of the arena
}

// note adds an edge to those from span i, if there is room.
func (p *pen) note(a *arenas, e *edges, i uint32, to target) {
	switch {
	case e.n == unnoted:
		return
	case e.n == maxEdges:
		p.arena = p.arena[:len(p.arena)-maxEdges]
		e.n = unnoted
		return
	case e.n == 0:
		if cap(p.arena)-len(p.arena) < maxEdges {
			if p.number = a.used.Add(1) - 1; int(p.number) >= len(a.list) {
				e.n = unnoted
				return
			}
			a.list[p.number] = make([]edge, 1<<arenaBits)
			p.arena = a.list[p.number][:0]
		}
		e.first = p.number<<arenaBits | uint32(len(p.arena))
	}
	p.arena = append(p.arena, edge(i&63)<<edgeShift|edge(to)&(1<<edgeShift-1))
	e.n++
}

// target returns what e leads to.
func (e edge) target() target { return target(e & (1<<edgeShift - 1)) }

// from says from which of 64 spans e is.
func (e edge) from() uint { return uint(e >> edgeShift) }

// edgesOf calls yield with those edges from the k-th 64 spans that were noted and
// are from one in set.
func (m *marker) edgesOf(k uint32, set uint64) func(yield func(edge) bool) {
	return func(yield func(edge) bool) {
		e := m.noted[k]
		if e.n == 0 || e.n == unnoted {
			return
		}
		for _, e := range m.arenas.get(e) {
			if set>>e.from()&1 != 0 && !yield(e) {
				return
			}
		}
	}
}
