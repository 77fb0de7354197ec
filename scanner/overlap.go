package scanner

import "container/heap"

// overlay cuts pieces, sorted by start, so that none overlap and each byte
// belongs to the piece of the highest object index that covers it.
func overlay(all []piece) []piece {
	var out []piece
	var open top
	id := -1        // of the piece that out ends with
	at := uint64(0) // bytes below at are given away
	// give hands out the bytes from at to end.
	give := func(end uint64) {
		for len(open) > 0 && at <= end {
			p := open[0]
			if p.last < at {
				heap.Pop(&open)
				continue
			}
			last := min(p.last, end)
			if k := len(out) - 1; p.id == id && out[k].last+1 == at {
				out[k].last = last
			} else {
				out = append(out, piece{at, last, p.obj})
			}
			id = p.id
			if last == ^uint64(0) {
				open = nil
				return
			}
			at = last + 1
		}
	}
	for i, p := range all {
		if p.start > at {
			give(p.start - 1)
			at = p.start
		}
		heap.Push(&open, layer{p, i})
	}
	give(^uint64(0))
	return out
}

// layer is a piece with a number of its own.
type layer struct {
	piece
	id int
}

// top is a heap with the layer of the highest object first.
type top []layer

func (t top) Len() int      { return len(t) }
func (t top) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t top) Less(i, j int) bool {
	return t[i].obj > t[j].obj || t[i].obj == t[j].obj && t[i].id < t[j].id
}
func (t *top) Push(x any) { *t = append(*t, x.(layer)) }
func (t *top) Pop() any {
	old := *t
	p := old[len(old)-1]
	*t = old[:len(old)-1]
	return p
}
