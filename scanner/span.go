package scanner

import (
	"math"
	"sync/atomic"

	"github.com/leakvisor/leakvisor/guestmem"
)

type gvaRange = guestmem.Range[guestmem.GVA]

// span is a stretch of addresses that belongs to one object. Spans are
// disjoint and sorted; nearly all objects have one. What marking looks at
// lies in one cache line.
type span struct {
	start uint64
	// size is in bytes, at least 1; with the bit special set the object needs
	// more than a look at this span, and special|longSpan says that size is
	// in the index's long map.
	size uint32
	// count is the number of references found, in the first span of an
	// object, with the bit rooted where it needs none. While spans are
	// sorted it is the object.
	count uint32
}

const (
	special  = 1 << 31
	longSpan = special - 1
	// none stands for a root where a span is expected, and generally.
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

// setSpans makes x.spans of objects: sorted, disjoint, a sentinel behind the
// last one.
func (x *index) setSpans(objects []Object, workers int) {
	spans := makeLarge[span](len(objects), len(objects)+len(objects)/64+1)
	copies := make([][]span, workers)
	shares(workers, len(objects), func(part, lo, hi int) {
		for i := lo; i < hi; i++ {
			o := &objects[i]
			spans[i] = x.span(uint64(o.Addr), clipped(uint64(o.Addr), o.Size), uint32(i))
			if o.Flag != 0 || o.Layout != 0 || o.Parts != nil || o.Copies != nil {
				spans[i].size |= special
			}
			for _, c := range o.Copies {
				if c.Size() > 0 {
					s := x.span(uint64(c.Start), uint64(c.End-1), uint32(i))
					s.size |= special
					copies[part] = append(copies[part], s)
				}
			}
		}
	})
	for _, c := range copies {
		spans = append(spans, c...)
	}
	x.several = len(spans) > len(objects)
	spans = sortSpans(spans, workers)
	if !x.disjoint(spans, workers) {
		spans = x.overlay(spans)
		x.several = true
	}
	if x.several {
		x.findMulti(spans, len(objects))
	}
	x.objects = makeLarge[uint32](len(spans), len(spans))
	shares(workers, len(spans), func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			x.objects[i], spans[i].count = spans[i].count, 0
		}
	})
	x.spans = append(spans, span{start: math.MaxUint64})
}

// span makes a span of an inclusive range. It may be called by several
// goroutines.
func (x *index) span(start, last uint64, obj uint32) span {
	size := last - start + 1
	if size >= longSpan || size == 0 {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.long == nil {
			x.long = map[longKey]uint64{}
		}
		x.long[longKey{start, obj}] = last
		return span{start, special | longSpan, obj}
	}
	return span{start, uint32(size), obj}
}

// lastOf returns the last address of span s of object obj.
func (x *index) lastOf(s span, obj uint32) uint64 {
	if s.size&^special == longSpan {
		return x.long[longKey{s.start, obj}]
	}
	return s.start + uint64(s.size&^special) - 1
}

// last returns the last address of span i. It leaves the count alone, which
// others may be changing.
func (x *index) last(i uint32) uint64 {
	s := &x.spans[i]
	if s.size&^special == longSpan {
		return x.long[longKey{s.start, x.objects[i]}]
	}
	return s.start + uint64(s.size&^special) - 1
}

func (x *index) disjoint(spans []span, workers int) bool {
	var overlaps atomic.Bool
	shares(workers, len(spans), func(_, lo, hi int) {
		for i := max(lo, 1); i < hi; i++ {
			if x.lastOf(spans[i-1], spans[i-1].count) >= spans[i].start {
				overlaps.Store(true)
				return
			}
		}
	})
	return !overlaps.Load()
}

// overlay cuts spans, sorted by start, so that none overlap and each byte
// belongs to the span of the highest object that covers it.
func (x *index) overlay(spans []span) []span {
	pieces := make([]piece, len(spans))
	flags := map[uint32]uint32{}
	for i, s := range spans {
		pieces[i] = piece{s.start, x.lastOf(s, s.count), s.count}
		flags[s.count] |= s.size & special
	}
	x.long = nil
	spans = spans[:0]
	for _, p := range overlay(pieces) {
		s := x.span(p.start, p.last, p.obj)
		s.size |= flags[p.obj]
		spans = append(spans, s)
	}
	return spans
}

// findMulti lists the spans of the objects that have more than one, and
// makes those special.
func (x *index) findMulti(spans []span, objects int) {
	seen := make([]uint8, objects)
	for _, s := range spans {
		seen[s.count] = min(seen[s.count]+1, 2)
	}
	x.multi = map[uint32][]uint32{}
	for i := range spans {
		if s := &spans[i]; seen[s.count] > 1 {
			s.size |= special
			x.multi[s.count] = append(x.multi[s.count], uint32(i))
		}
	}
}
