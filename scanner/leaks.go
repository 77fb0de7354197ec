package scanner

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// findLeaks groups the white objects of r: it reads them for the references
// among them, and takes each strongly connected component without a reference
// from outside as a leak.
func (m *marker) findLeaks(ctx context.Context, white []uint32, r *Result) error {
	if len(white) == 0 {
		return nil
	}
	g := &graph{objects: make([]uint32, len(white)), number: make([]uint32, len(white))}
	for i, span := range white {
		g.objects[i] = m.x.owners[span]
	}
	slices.Sort(g.objects)
	g.sorted = slices.Clone(g.objects)
	if older := m.in.Older; older != nil {
		slices.SortStableFunc(g.objects, func(a, b uint32) int {
			switch {
			case older(int(a), int(b)):
				return -1
			case older(int(b), int(a)):
				return 1
			}
			return 0
		})
	}
	for n, o := range g.objects {
		i, _ := slices.BinarySearch(g.sorted, o)
		g.number[i] = uint32(n)
	}
	ws := m.newWorkers(ctx)
	pairs := make([][]uint64, m.workers)
	for i := range ws {
		ws[i].visit = func(to, from uint32, _, _ uint64) {
			if to, ok := g.node(m.x.owners[to]); ok {
				from, _ := g.node(m.x.owners[from])
				pairs[i] = append(pairs[i], uint64(from)<<32|uint64(to))
			}
		}
	}
	for _, i := range white {
		for _, i := range m.x.spansOf(i) {
			ws[0].pend(i)
		}
		for _, to := range m.edges[m.x.owners[i]] {
			ws[0].tell(to, i, atEdge)
		}
	}
	if err := m.scanOut(ws); err != nil {
		return err
	}
	var all []uint64
	for _, p := range pairs {
		all = append(all, p...)
	}
	var bad []gvaRange
	for _, w := range ws {
		bad = append(append(bad, w.bad...), w.badPlain...)
	}
	_, r.UnreadableOrphanBytes = sum(bad)
	g.setEdges(all)
	r.Leaks = g.leaks(m.in.Objects)
	return nil
}

// graph is the references among some objects, which it numbers anew.
type graph struct {
	objects []uint32 // indices in Input.Objects, the oldest first
	sorted  []uint32 // the same, ascending, and their numbers
	number  []uint32
	first   []int    // for each node its first edge; one more at the end
	edges   []uint32 // target nodes, ascending for each node
}

// node returns the number of an object.
func (g *graph) node(object uint32) (uint32, bool) {
	i, ok := slices.BinarySearch(g.sorted, object)
	if !ok {
		return 0, false
	}
	return g.number[i], true
}

// setEdges takes pairs from<<32|to in any order, some of them several times.
func (g *graph) setEdges(pairs []uint64) {
	slices.Sort(pairs)
	pairs = slices.Compact(pairs)
	g.first = make([]int, len(g.objects)+1)
	g.edges = make([]uint32, len(pairs))
	for i, p := range pairs {
		g.first[p>>32+1] = i + 1
		g.edges[i] = uint32(p)
	}
	for i := 1; i < len(g.first); i++ {
		g.first[i] = max(g.first[i], g.first[i-1])
	}
}

func (g *graph) next(node uint32) []uint32 { return g.edges[g.first[node]:g.first[node+1]] }

// components numbers the strongly connected components (Tarjan 1972, without
// recursion: a list of a million orphans is a path of that length).
func (g *graph) components() (of []uint32, n int) {
	nodes := len(g.objects)
	of = make([]uint32, nodes)
	order, low := make([]uint32, nodes), make([]uint32, nodes)
	for i := range of {
		of[i], order[i] = none, none
	}
	type frame struct {
		node uint32
		edge int
	}
	var path []frame
	var open []uint32
	seen := uint32(0)
	enter := func(v uint32) {
		order[v], low[v] = seen, seen
		seen++
		open = append(open, v)
		path = append(path, frame{v, g.first[v]})
	}
	for root := range order {
		if order[root] != none {
			continue
		}
		enter(uint32(root))
		for len(path) > 0 {
			f := &path[len(path)-1]
			v := f.node
			if f.edge < g.first[v+1] {
				to := g.edges[f.edge]
				f.edge++
				if order[to] == none {
					enter(to)
				} else if of[to] == none {
					low[v] = min(low[v], order[to])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				up := path[len(path)-1].node
				low[up] = min(low[up], low[v])
			}
			if low[v] == order[v] {
				for {
					u := open[len(open)-1]
					open = open[:len(open)-1]
					of[u] = uint32(n)
					if u == v {
						break
					}
				}
				n++
			}
		}
	}
	return of, n
}

// leaks makes a Leak of each component that no other refers to.
func (g *graph) leaks(objects []Object) []Leak {
	of, n := g.components()
	referred, size := make([]bool, n), make([]uint32, n)
	for v := range g.objects {
		size[of[v]]++
		for _, to := range g.next(uint32(v)) {
			if of[to] != of[v] {
				referred[of[to]] = true
			}
		}
	}
	for _, r := range referred {
		if r {
			n--
		}
	}
	taken := make([]bool, len(g.objects))
	leaks := make([]Leak, 0, n)
	var queue []uint32
	for v, o := range g.objects {
		// The first of its component that comes by takes the others along.
		if taken[v] || referred[of[v]] {
			continue
		}
		l := Leak{Object: int(o), Cycle: size[of[v]] > 1, Bytes: objects[o].Size}
		taken[v] = true
		queue = append(queue[:0], uint32(v))
		for i := 0; i < len(queue); i++ {
			from := queue[i]
			for _, to := range g.next(from) {
				if !taken[to] {
					taken[to] = true
					queue = append(queue, to)
					child := g.objects[to]
					l.Children = append(l.Children, Child{Object: int32(child), Parent: int32(g.objects[from])})
					if l.Bytes += objects[child].Size; l.Bytes < objects[child].Size {
						l.Bytes = math.MaxUint64
					}
				}
			}
		}
		leaks = append(leaks, l)
	}
	return byBytes(leaks)
}

// byBytes sorts leaks stably, the largest first.
func byBytes(leaks []Leak) []Leak {
	type place struct {
		bytes uint64
		i     int
	}
	order := make([]place, len(leaks))
	for i := range leaks {
		order[i] = place{leaks[i].Bytes, i}
	}
	slices.SortFunc(order, func(a, b place) int {
		if a.bytes != b.bytes {
			return cmp.Compare(b.bytes, a.bytes)
		}
		return a.i - b.i
	})
	sorted := make([]Leak, len(leaks))
	for i, p := range order {
		sorted[i] = leaks[p.i]
	}
	return sorted
}
