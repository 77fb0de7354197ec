package scanner

import (
	"math"
	"sync/atomic"

	"github.com/leakvisor/leakvisor/guestmem"
)

type gvaRange = guestmem.Range[guestmem.GVA]

// span is a stretch of addresses that belongs to one object, while the index
// is made.
type span struct {
	start uint64
	// size is in bytes, at least 1, or longSpan where it is in the spanner's
	// long map.
	size uint32
	obj  uint32
}

const (
	longSpan = math.MaxUint32
	// none stands for a root or a gap where an object's span is expected, and
	// generally.
	none = math.MaxUint32
)

// longKey names a span whose size does not fit.
type longKey struct {
	start uint64
	obj   uint32
}

// piece is a span in its general form; last is inclusive, so that the end of
// the address space needs no exception.
type piece struct {
	start, last uint64
	obj         uint32
}

// clipped returns the last address of size bytes at start; an empty range
// counts as one byte. The last byte of the address space, which no Range can
// name, belongs to an object only that starts there.
func clipped(start, size uint64) uint64 {
	last := start + max(size, 1) - 1
	if last < start || last == math.MaxUint64 {
		return max(start, math.MaxUint64-1)
	}
	return last
}

// spanner makes an index's spans of objects.
type spanner struct {
	*Index
	workers int
	long    map[longKey]uint64
}

// setSpans makes the index's spans: those of the objects, sorted and
// disjoint, and the gaps between them.
func (x *spanner) setSpans() {
	objects := x.objects
	spans := makeLarge[span](len(objects), len(objects)+len(objects)/64+1)
	copies, longs := make([][]span, x.workers), make([][]piece, x.workers)
	shares(x.workers, len(objects), func(part, lo, hi int) {
		add := func(start, last uint64, obj uint32) span {
			size := last - start + 1
			if size >= longSpan || size == 0 {
				longs[part] = append(longs[part], piece{start, last, obj})
				size = longSpan
			}
			return span{start, uint32(size), obj}
		}
		for i := lo; i < hi; i++ {
			o := &objects[i]
			spans[i] = add(uint64(o.Addr), clipped(uint64(o.Addr), o.Size), uint32(i))
			for _, c := range o.Copies {
				if c.Size() > 0 {
					copies[part] = append(copies[part], add(uint64(c.Start), uint64(c.End-1), uint32(i)))
				}
			}
		}
	})
	for part := range copies {
		spans = append(spans, copies[part]...)
		x.setLong(longs[part])
	}
	x.several = len(spans) > len(objects)
	spans = sortSpans(spans, x.workers)
	if !x.disjoint(spans) {
		spans = x.overlay(spans)
		x.several = true
	}
	x.tile(spans)
	if x.several {
		x.findMulti()
	}
}

func (x *spanner) setLong(pieces []piece) {
	if x.long == nil && len(pieces) > 0 {
		x.long = map[longKey]uint64{}
	}
	for _, p := range pieces {
		x.long[longKey{p.start, p.obj}] = p.last
	}
}

// last returns the last address of s.
func (x *spanner) last(s span) uint64 {
	if s.size == longSpan {
		return x.long[longKey{s.start, s.obj}]
	}
	return s.start + uint64(s.size) - 1
}

func (x *spanner) disjoint(spans []span) bool {
	var overlaps atomic.Bool
	shares(x.workers, len(spans), func(_, lo, hi int) {
		for i := max(lo, 1); i < hi; i++ {
			if x.last(spans[i-1]) >= spans[i].start {
				overlaps.Store(true)
				return
			}
		}
	})
	return !overlaps.Load()
}

// overlay cuts spans, sorted by start, so that none overlap and each byte
// belongs to the span of the highest object that covers it.
func (x *spanner) overlay(spans []span) []span {
	pieces := make([]piece, len(spans))
	for i, s := range spans {
		pieces[i] = piece{s.start, x.last(s), s.obj}
	}
	x.long = nil
	spans = spans[:0]
	for _, p := range overlay(pieces) {
		size := p.last - p.start + 1
		if size >= longSpan || size == 0 {
			x.setLong([]piece{p})
			size = longSpan
		}
		spans = append(spans, span{p.start, uint32(size), p.obj})
	}
	return spans
}

// tile lists spans, sorted and disjoint, with the gaps between them.
func (x *spanner) tile(spans []span) {
	// behind is the first address behind the spans before i.
	behind := func(i int) uint64 {
		if i == 0 {
			return 0
		}
		return x.last(spans[i-1]) + 1
	}
	gaps := make([]int, x.workers+1) // before each share
	shares(x.workers, len(spans), func(part, lo, hi int) {
		n, end := 0, behind(lo)
		for _, s := range spans[lo:hi] {
			if s.start != end {
				n++
			}
			end = x.last(s) + 1
		}
		gaps[part+1] = n
	})
	for part := range x.workers {
		gaps[part+1] += gaps[part]
	}
	n := len(spans) + gaps[x.workers]
	x.starts, x.owners = makeLarge[uint64](n, n+2), makeLarge[uint32](n, n+1)
	x.special, x.gaps, x.wide = make([]uint64, n/64+1), make([]uint64, n/64+1), make([]uint64, n/64+1)
	var plain atomic.Uint64
	shares(x.workers, len(spans), func(part, lo, hi int) {
		i, end, bytes := lo+gaps[part], behind(lo), uint64(0)
		for _, s := range spans[lo:hi] {
			if s.start != end {
				x.starts[i], x.owners[i] = end, none
				atomic.OrUint64(&x.gaps[i>>6], 1<<(i&63))
				if s.start-end >= pageBytes {
					atomic.OrUint64(&x.wide[i>>6], 1<<(i&63))
				}
				i++
			}
			x.starts[i], x.owners[i] = s.start, s.obj
			end = x.last(s) + 1
			if x.objects[s.obj].special() || s.size > maxPlain {
				atomic.OrUint64(&x.special[i>>6], 1<<(i&63))
			} else {
				bytes += x.wordBytes(s.start, end)
			}
			i++
		}
		plain.Add(bytes)
	})
	x.plainBytes = plain.Load()
	if end := behind(len(spans)); n == 0 || end != 0 && end != math.MaxUint64 {
		x.starts, x.owners = append(x.starts, end), append(x.owners, none)
		setBit(x.gaps, uint32(n))
		setBit(x.wide, uint32(n))
	}
	x.starts = append(x.starts, math.MaxUint64)
}

// findMulti lists the spans of the objects that have more than one, and
// makes those special.
func (x *spanner) findMulti() {
	seen := make([]uint8, len(x.objects))
	for _, obj := range x.owners {
		if obj != none {
			seen[obj] = min(seen[obj]+1, 2)
		}
	}
	x.multi = map[uint32][]uint32{}
	for i, obj := range x.owners {
		if obj != none && seen[obj] > 1 {
			if !has(x.special, uint32(i)) {
				setBit(x.special, uint32(i))
				x.plainBytes -= x.wordBytes(x.starts[i], x.starts[i+1])
			}
			x.multi[obj] = append(x.multi[obj], uint32(i))
		}
	}
}
