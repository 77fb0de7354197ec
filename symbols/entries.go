package symbols

import (
	"debug/dwarf"
	"errors"
	"math"
)

// errEndless is about a walk over more debug entries than it may take.
var errEndless = errors.New("its debug entries have no end")

// entries reads debug entries one after the other, up to an offset and so
// many at most. debug/dwarf's own Reader goes on from one unit into the next:
// each list that a hostile file does not end would have it read all the rest.
type entries struct {
	r    *dwarf.Reader
	end  uint64 // offset of the first that is not read
	left int
}

// unitEntries reads the entries of a unit.
func (di *debugInfo) unitEntries(u unit) *entries {
	r := &entries{di.data.Reader(), u.end, math.MaxInt}
	r.r.Seek(u.die)
	return r
}

// someEntries reads at most so many entries, of all units.
func (di *debugInfo) someEntries(n int) *entries {
	return &entries{di.data.Reader(), math.MaxUint64, n}
}

// next returns the next entry, one of tag zero at the end of a list, nil at
// the end of all.
func (r *entries) next() (*dwarf.Entry, error) {
	if r.left--; r.left < 0 {
		return nil, errEndless
	}
	e, err := r.r.Next()
	if err != nil || e == nil || uint64(e.Offset) >= r.end {
		return nil, err
	}
	return e, nil
}

// at returns the entry at an offset, and goes on behind it; an error where
// there is none.
func (r *entries) at(off dwarf.Offset) (*dwarf.Entry, error) {
	r.r.Seek(off)
	e, err := r.next()
	if err == nil && (e == nil || e.Tag == 0) {
		return nil, errors.New("a debug entry is missing")
	}
	return e, err
}

// skipChildren goes behind the children of the entry that was just read.
// debug/dwarf's Reader.SkipChildren recurses, so that a hostile file could
// overflow the stack, which no recover catches.
func (r *entries) skipChildren(e *dwarf.Entry) error {
	depth := 0
	for {
		sibling, ok := e.Val(dwarf.AttrSibling).(dwarf.Offset)
		switch {
		case e.Tag == 0:
			depth--
		case !e.Children:
		case ok && sibling > e.Offset:
			r.r.Seek(sibling)
		default:
			depth++
		}
		if depth <= 0 {
			return nil
		}
		var err error
		if e, err = r.next(); err != nil || e == nil {
			return err
		}
	}
}
