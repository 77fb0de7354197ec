package scanner

import (
	"cmp"
	"math"
	"slices"

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
// name, belongs to nobody.
func clipped(start, size uint64) uint64 {
	last := start + max(size, 1) - 1
	if last < start {
		return math.MaxUint64 - 1
	}
	return min(last, math.MaxUint64-1)
}

// setSpans makes x.spans of objects: sorted, disjoint, a sentinel behind the
// last one.
func (x *index) setSpans(objects []Object) {
	extra := 0
	for i := range objects {
		extra += len(objects[i].Copies)
	}
	spans := makeLarge[span](0, len(objects)+extra+1)
	for i := range objects {
		o := &objects[i]
		obj := uint32(i)
		if start := uint64(o.Addr); start < math.MaxUint64 {
			s := x.span(start, clipped(start, o.Size), obj)
			if o.Flag != 0 || o.Parts != nil || o.Copies != nil {
				s.size |= special
			}
			spans = append(spans, s)
		}
		for _, c := range o.Copies {
			if c.Size() > 0 {
				s := x.span(uint64(c.Start), uint64(c.End-1), obj)
				s.size |= special
				spans = append(spans, s)
			}
		}
	}
	spans = sortSpans(spans)
	overlap := !x.disjoint(spans)
	if overlap {
		spans = x.overlay(spans)
	}
	if overlap || extra > 0 {
		x.findMulti(spans, len(objects))
	}
	x.objects = makeLarge[uint32](len(spans), len(spans))
	for i := range spans {
		x.objects[i], spans[i].count = spans[i].count, 0
	}
	x.spans = append(spans, span{start: math.MaxUint64})
}

// span makes a span of an inclusive range.
func (x *index) span(start, last uint64, obj uint32) span {
	size := last - start + 1
	if size >= longSpan || size == 0 {
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

// last returns the last address of span i.
func (x *index) last(i uint32) uint64 {
	s := x.spans[i]
	if s.size&^special == longSpan {
		return x.long[longKey{s.start, x.objects[i]}]
	}
	return s.start + uint64(s.size&^special) - 1
}

func (x *index) disjoint(spans []span) bool {
	for i := 1; i < len(spans); i++ {
		if x.lastOf(spans[i-1], spans[i-1].count) >= spans[i].start {
			return false
		}
	}
	return true
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

// sortSpans sorts by start, then object: a radix sort over the bits in which
// the starts differ. It may return other memory than it was given.
func sortSpans(spans []span) []span {
	sorted, diff := true, uint64(0)
	for i := 1; i < len(spans); i++ {
		if less(spans[i], spans[i-1]) {
			sorted = false
		}
		diff |= spans[i].start ^ spans[0].start
	}
	if sorted {
		return spans
	}
	if len(spans) < 4096 {
		slices.SortFunc(spans, func(a, b span) int {
			return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.count, b.count))
		})
		return spans
	}
	// Spans come in by ascending object, and the sort is stable.
	const bits = 11
	other := makeLarge[span](len(spans), cap(spans))
	for shift := 0; shift < 64 && diff>>shift != 0; {
		if diff>>shift&1 == 0 {
			shift++
			continue
		}
		var at [1 << bits]uint32
		for i := range spans {
			at[spans[i].start>>shift&(1<<bits-1)]++
		}
		sum := uint32(0)
		for i, n := range at {
			at[i], sum = sum, sum+n
		}
		for i := range spans {
			k := spans[i].start >> shift & (1<<bits - 1)
			other[at[k]] = spans[i]
			at[k]++
		}
		spans, other = other, spans
		shift += bits
	}
	return spans
}

func less(a, b span) bool {
	return a.start < b.start || a.start == b.start && a.count < b.count
}
