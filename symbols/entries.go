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
// And where a unit ends within an entry's first number, it reads entries of
// tag zero there and never the end.
type entries struct {
	r    *dwarf.Reader
	end  uint64 // offset of the first that is not read
	left int
	over error // for more than that; nil for the end
}

// unitEntries reads the entries of a unit: no more than it has bytes.
func (di *debugInfo) unitEntries(u unit) *entries {
	r := &entries{r: di.data.Reader(), end: u.end, left: int(u.end - uint64(u.die))}
	r.r.Seek(u.die)
	return r
}

// someEntries reads so many entries, of all units; errEndless if that is not
// enough.
func (di *debugInfo) someEntries(n int) *entries {
	return &entries{r: di.data.Reader(), end: math.MaxUint64, left: n, over: errEndless}
}

// next returns the next entry, one of tag zero at the end of a list, nil at
// the end of all.
func (r *entries) next() (*dwarf.Entry, error) {
	if r.left == 0 {
		return nil, r.over
	}
	r.left--
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
