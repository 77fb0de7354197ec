package scanner

import (
	"math"

	"github.com/leakvisor/leakvisor/guestmem"
)

// reference is the scan written down as plainly as can be: it asks of each
// byte who owns it.
type reference struct {
	in    *Input
	bad   map[uint64]bool
	bytes uint64
}

// owner returns the object that the byte at a belongs to, or -1.
func (r *reference) owner(a uint64) int {
	for i := len(r.in.Objects) - 1; i >= 0; i-- {
		o := &r.in.Objects[i]
		if inside(a, uint64(o.Addr), max(o.Size, 1)) && (a < math.MaxUint64 || o.Addr == gva(a)) {
			return i
		}
		for _, c := range o.Copies {
			if c.Contains(gva(a)) {
				return i
			}
		}
	}
	return -1
}

func inside(a, start, size uint64) bool {
	return a >= start && (a-start < size)
}

// target returns the object that w points to, or -1.
func (r *reference) target(w uint64) int {
	if w == math.MaxUint64 || r.in.WordSize == 4 && w >= math.MaxUint32 {
		return -1
	}
	return r.owner(w)
}

func (r *reference) scanned(o *Object, a uint64) bool {
	if o.Flag&NotMapped != 0 && inside(a, uint64(o.Addr), max(o.Size, 1)) {
		return false
	}
	if o.Parts == nil {
		return o.Layout == 0 || r.inLayout(o, a)
	}
	for _, p := range o.Parts {
		if p.Contains(gva(a)) {
			return true
		}
	}
	return false
}

// inLayout says whether the byte at a is in a range of o's layout.
func (r *reference) inLayout(o *Object, a uint64) bool {
	l := &r.in.Layouts[o.Layout-1]
	off := a - uint64(o.Addr)
	if !inside(a, uint64(o.Addr), max(o.Size, 1)) {
		for _, c := range o.Copies {
			if c.Contains(gva(a)) {
				off = a - uint64(c.Start)
				break
			}
		}
	}
	ranges := l.Parts
	if off >= l.Size {
		if l.Period == 0 {
			return true
		}
		ranges, off = l.Repeat, (off-l.Size)%l.Period
	}
	for _, p := range ranges {
		if off >= p.Start && off < p.End {
			return true
		}
	}
	return false
}

// words calls f for each word of [start, end) whose bytes pass ok.
func (r *reference) words(mem guestmem.Memory, start, end uint64, ok func(a uint64) bool, f func(a, w uint64)) (unread []uint64) {
	ws := uint64(r.in.WordSize)
	for a := start &^ (ws - 1); a < end && a+ws > a; a += ws {
		whole := true
		for k := a; k < a+ws; k++ {
			whole = whole && k >= start && k < end && ok(k)
		}
		if !whole {
			continue
		}
		var b [8]byte
		if guestmem.Read(mem, gva(a), b[:ws]) != nil {
			unread = append(unread, a)
			continue
		}
		w := uint64(0)
		if ws == 8 {
			w = r.in.Order.Uint64(b[:])
		} else {
			w = uint64(r.in.Order.Uint32(b[:]))
		}
		if mem == r.in.Memory && excluded(r.in, a) {
			w = math.MaxUint64
		}
		f(a, w)
	}
	return unread
}

func excluded(in *Input, a uint64) bool {
	for _, e := range in.Exclude {
		if e.Contains(gva(a)) {
			return true
		}
	}
	return false
}

// points lists what the words of object i point to, each word once.
func (r *reference) points(i int) (to []int, unread []uint64) {
	o := &r.in.Objects[i]
	for _, e := range r.in.Edges {
		if e.From != math.MaxUint64 && r.owner(uint64(e.From)) == i && o.Flag&Ignore == 0 {
			if t := r.target(uint64(e.To)); t >= 0 && t != i {
				to = append(to, t)
			}
		}
	}
	if o.Flag&(NoScan|Ignore) != 0 {
		return to, nil
	}
	ranges := []gvaRange{{Start: o.Addr, End: o.Addr + gva(o.Size)}}
	if ranges[0].End < ranges[0].Start {
		ranges[0].End = math.MaxUint64
	}
	for k, c := range append(ranges, o.Copies...) {
		mine := func(a uint64) bool {
			for _, before := range append(ranges, o.Copies...)[:k] {
				if before.Contains(gva(a)) {
					return false
				}
			}
			return r.owner(a) == i && r.scanned(o, a)
		}
		u := r.words(r.in.Memory, uint64(c.Start), uint64(c.End), mine, func(_, w uint64) {
			r.bytes += uint64(r.in.WordSize)
			if t := r.target(w); t >= 0 && t != i {
				to = append(to, t)
			}
		})
		unread = append(unread, u...)
	}
	return to, unread
}

// referenceScan is what Scan should say of States and Bytes.
func referenceScan(in *Input) (*Result, *reference) {
	n := len(in.Objects)
	r := &reference{in: in, bad: map[uint64]bool{}}
	reached := make([]bool, n)
	var work []int
	reach := func(i int) {
		if !reached[i] {
			reached[i] = true
			work = append(work, i)
		}
	}
	hit := func(w uint64) {
		if t := r.target(w); t >= 0 {
			reach(t)
		}
	}
	for i, o := range in.Objects {
		if o.Flag&(Gray|Ignore) == Gray {
			reach(i)
		}
	}
	for _, root := range in.Roots {
		if root.Words != nil {
			for _, w := range root.Words {
				if in.WordSize == 4 {
					w = uint64(uint32(w))
				}
				hit(w)
			}
			continue
		}
		mem := root.Memory
		if mem == nil {
			mem = in.Memory
		}
		all := func(uint64) bool { return true }
		if root.Range.Size() == 0 {
			continue
		}
		for _, a := range r.words(mem, uint64(root.Range.Start), uint64(root.Range.End), all, func(_, w uint64) {
			r.bytes += uint64(in.WordSize)
			hit(w)
		}) {
			r.bad[a] = true
		}
	}
loose:
	for _, e := range in.Edges {
		if r.owner(uint64(e.From)) >= 0 {
			continue
		}
		for _, root := range in.Roots {
			if root.Words == nil && root.Range.Contains(e.From) {
				hit(uint64(e.To))
				continue loose
			}
		}
	}
	for len(work) > 0 {
		i := work[0]
		work = work[1:]
		to, unread := r.points(i)
		for _, t := range to {
			reach(t)
		}
		for _, a := range unread {
			r.bad[a] = true
		}
	}
	res := &Result{States: make([]State, n), Bytes: r.bytes}
	res.UnreadableBytes = uint64(len(r.bad) * in.WordSize)
	// An object that owns any byte owns one where it or another begins or
	// just behind one's end.
	var edges []uint64
	for _, o := range in.Objects {
		edges = append(edges, uint64(o.Addr), uint64(o.Addr)+max(o.Size, 1))
		for _, c := range o.Copies {
			edges = append(edges, uint64(c.Start), uint64(c.End))
		}
	}
	for i, o := range in.Objects {
		owned := false
		for _, a := range edges {
			owned = owned || r.owner(a) == i
		}
		switch {
		case o.Flag&Ignore != 0:
			res.States[i] = Ignored
		case reached[i]:
			res.States[i] = Reachable
		case !owned:
			res.States[i] = Ignored
		case len(r.bad) > 0:
			res.States[i] = Unknown
		default:
			res.States[i] = Orphan
		}
	}
	return res, r
}
