package symbols

import (
	"cmp"
	"slices"
)

// Pointers says where in an object of some type pointers can be. Offsets are
// in bytes; ranges are ascending and disjoint.
type Pointers struct {
	// Parts are the ranges within the first Size bytes.
	Parts []Range
	Size  uint64
	// Repeat are the ranges within each Period bytes behind these, where the
	// type ends in an array of so large elements without a length. A Period
	// of zero says that nothing is known of what is behind.
	Repeat []Range
	Period uint64
}

// maxParts bounds the ranges of one type before they are merged.
const maxParts = 1 << 16

// Pointers returns where pointers can be in an object of type s: in members
// that are pointers; in arrays of bytes and of whole words, which serve as
// raw storage; in any member of which holds, called with the tag of its
// structure and its own name, says that it hides one. Integers, enumerations
// and padding have none, and in a union each member counts.
func (s *Struct) Pointers(word int, holds func(tag, member string) bool) Pointers {
	w := pointerWalk{s: s, word: uint64(word), holds: holds}
	p := Pointers{Size: s.Size}
	if flexible, ok := w.flexible(0, 0); ok && flexible.at <= s.Size {
		// What is behind the type's size is the array's, and so is padding.
		p.Size, p.Period = flexible.at, flexible.m.Elem
		w.member(flexible.tag, flexible.m, 0, 0)
		p.Repeat = w.merged()
		if w.failed || wholly(p.Repeat, p.Period) {
			p.Repeat, p.Period = nil, 0
		}
		w.parts, w.failed = nil, false
	}
	w.steps = 0
	w.aggregate(0, "", 0, 0)
	if p.Parts = w.merged(); w.failed {
		p.Parts = []Range{{Start: 0, End: p.Size}}
	}
	return p
}

func wholly(parts []Range, size uint64) bool {
	return size == 0 || len(parts) == 1 && parts[0].Start == 0 && parts[0].End >= size
}

// pointerWalk gathers ranges.
type pointerWalk struct {
	s      *Struct
	word   uint64
	holds  func(tag, member string) bool
	parts  []Range
	steps  int
	failed bool // too much: nothing that was gathered is of use
}

func (w *pointerWalk) add(start, size uint64) {
	if end := start + size; end > start {
		w.parts = append(w.parts, Range{Start: start, End: end})
	}
}

// aggregate gathers what aggregate i has at an offset.
func (w *pointerWalk) aggregate(i int, outer string, at uint64, depth int) {
	if w.steps++; i >= len(w.s.types) || depth > maxTypeDepth || w.steps > maxParts || len(w.parts) > maxParts {
		w.failed = true
		return
	}
	a := &w.s.types[i]
	tag := a.Name
	if tag == "" {
		tag = outer
	}
	if len(a.Members) == 0 {
		w.add(at, a.Size) // not known here
	}
	for k := range a.Members {
		m := &a.Members[k]
		switch {
		case m.BitSize != 0:
		case len(m.Dims) > 0 && m.Size == 0 && (m.Inner != 0 || m.Kind == kindPointer) && m.Offset < a.Size:
			w.add(at+m.Offset, a.Size-m.Offset) // its elements are among what follows
		default:
			w.field(tag, m, at+m.Offset, depth)
		}
	}
}

// field gathers what a member has, all elements of an array.
func (w *pointerWalk) field(tag string, m *member, at uint64, depth int) {
	switch {
	case w.failed:
	case m.Name != "" && w.holds(tag, m.Name):
		w.add(at, m.Size)
	case len(m.Dims) == 0:
		w.member(tag, m, at, depth)
	case m.Elem == 0:
	case m.Inner != 0:
		for off := uint64(0); off+m.Elem <= m.Size && !w.failed; off += m.Elem {
			w.aggregate(m.Inner, tag, at+off, depth+1)
		}
	case m.Kind == kindPointer || m.Kind == kindOther:
		w.add(at, m.Size)
	case m.Kind == kindInteger && (m.Elem == 1 || m.Elem >= w.word):
		w.add(at, m.Size)
	}
}

// member gathers what one element of a member has.
func (w *pointerWalk) member(tag string, m *member, at uint64, depth int) {
	const widest = 8 // integers that C knows as one
	size := m.Size
	if len(m.Dims) > 0 {
		size = m.Elem
	}
	switch {
	case m.Inner != 0:
		w.aggregate(m.Inner, tag, at, depth+1)
	case m.Kind == kindPointer || m.Kind == kindOther:
		w.add(at, size)
	case m.Kind == kindInteger && (size > widest || len(m.Dims) > 0):
		w.add(at, size)
	}
}

// merged returns the ranges that were gathered.
func (w *pointerWalk) merged() []Range { return MergeRanges(w.parts) }

// MergeRanges sorts ranges, and makes one of those that touch.
func MergeRanges(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	out := []Range{}
	for _, p := range ranges {
		if n := len(out); n > 0 && p.Start <= out[n-1].End {
			out[n-1].End = max(out[n-1].End, p.End)
			continue
		}
		out = append(out, p)
	}
	return out
}

// flexible is an array without a length.
type flexibleArray struct {
	m   *member
	tag string
	at  uint64
}

// flexible finds the array without a length that an aggregate ends in.
// Arrays of no elements serve as marks too: only one behind all else counts.
func (w *pointerWalk) flexible(i, depth int) (f flexibleArray, ok bool) {
	if w.steps++; i >= len(w.s.types) || depth > maxTypeDepth || w.steps > maxParts {
		return f, false
	}
	a := &w.s.types[i]
	end := uint64(0)
	for k := range a.Members {
		m := &a.Members[k]
		end = max(end, m.Offset+m.Size)
	}
	for k := range a.Members {
		m := &a.Members[k]
		switch {
		case len(m.Dims) == 1 && m.Dims[0] == 0 && m.Elem > 0 && m.Offset >= end:
			return flexibleArray{m, a.Name, m.Offset}, true
		case m.Inner != 0 && len(m.Dims) == 0 && m.Offset+m.Size == end && !ok:
			if in, found := w.flexible(m.Inner, depth+1); found && m.Offset+in.at >= end {
				f, ok = flexibleArray{in.m, in.tag, m.Offset + in.at}, true
			}
		}
	}
	return f, ok
}
