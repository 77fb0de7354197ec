package symbols

import (
	"cmp"
	"debug/dwarf"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// lineTable is the lines of one unit, by address.
type lineTable []lineRow

// lineRow says which line the code from addr on is from; no file, that there
// is none.
type lineRow struct {
	addr uint64
	file string
	line int
}

// maxLineRows bounds the table of one unit.
const maxLineRows = 1 << 22

// Line returns the source file, as the compiler was given it, and the line of
// the code at a link address. It is read by debug/dwarf: delve's line package
// takes all files for little-endian and 32-bit DWARF, prints about opcodes it
// does not know, and brings a telemetry library with it.
func (im *Image) Line(addr uint64) (file string, line int, ok bool) {
	row, err := im.lineRow(addr)
	return row.file, row.line, err == nil && row.file != ""
}

func (im *Image) lineRow(addr uint64) (row lineRow, err error) {
	defer guard(im.path, &err)()
	di, err := im.debug()
	if err != nil {
		return row, err
	}
	u, ok := di.unitAt(addr)
	if !ok {
		return row, fmt.Errorf("%s: line of %#x: %w", im.path, addr, ErrNotFound)
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	t, ok := im.lines[u]
	if !ok {
		if t, err = di.lineTable(di.units[u]); err != nil {
			return row, fmt.Errorf("%s: %w: %w", im.path, ErrCorrupt, err)
		}
		if im.lines == nil {
			im.lines = map[int]lineTable{}
		}
		im.lines[u] = t
	}
	if i := sort.Search(len(t), func(i int) bool { return t[i].addr > addr }); i > 0 {
		row = t[i-1]
	}
	return row, nil
}

func (di *debugInfo) lineTable(u unit) (lineTable, error) {
	unit, err := di.unitEntries(u).next()
	if err != nil || unit == nil {
		return nil, err
	}
	if err := di.checkLineHeader(unit); err != nil {
		return nil, err
	}
	lr, err := di.data.LineReader(unit)
	if err != nil || lr == nil {
		return nil, err
	}
	var t lineTable
	var e dwarf.LineEntry
	for {
		err := lr.Next(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(t) >= maxLineRows {
			return nil, errors.New("the line table is too large")
		}
		row := lineRow{addr: e.Address}
		if !e.EndSequence && e.File != nil {
			row.file, row.line = e.File.Name, e.Line
		}
		t = append(t, row)
	}
	// Of several rows at one address the last counts; that another piece of
	// code begins where one ends counts more than the end.
	slices.SortStableFunc(t, func(a, b lineRow) int {
		if c := cmp.Compare(a.addr, b.addr); c != 0 {
			return c
		}
		return cmp.Compare(min(len(a.file), 1), min(len(b.file), 1))
	})
	return t, nil
}
