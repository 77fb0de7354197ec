package symbols

import (
	"bytes"
	"debug/dwarf"
	"errors"
)

// maxNames bounds the names of files that the header of one line table gives,
// in bytes, each counted like the longest of them: the largest unit of a
// kernel has some thousand.
const maxNames = 32 << 20

var (
	errLineHeader = errors.New("the header of a line table does not fit its size")
	errLineNames  = errors.New("the header of a line table has too many names")
)

// lineHeader reads the header of a line table (DWARF 5 section 6.2.4).
type lineHeader struct {
	cursor
	offset       uint64 // size of offsets, in bytes
	str, lineStr []byte
	names        uint64
	longest      uint64 // name, in bytes
	err          error
}

// checkLineHeader says whether debug/dwarf may read the header of a unit's
// line table: it takes any number of files that the header names for true,
// makes room for so many and reads them, also behind the end of the section.
func (di *debugInfo) checkLineHeader(unit *dwarf.Entry) error {
	off, ok := unit.Val(dwarf.AttrStmtList).(int64)
	if !ok || off < 0 || off > int64(len(di.line)) {
		return nil // which debug/dwarf sees itself
	}
	b, order := di.line[off:], di.im.elf.ByteOrder
	length, size, n := initialLength(b, order)
	if n == 0 || length > uint64(len(b))-n {
		return errLineHeader
	}
	dir, _ := unit.Val(dwarf.AttrCompDir).(string)
	h := &lineHeader{cursor: cursor{order: order, b: b[n : n+length]}, offset: size, str: di.str, lineStr: di.lineStr, longest: uint64(len(dir))}
	return h.check()
}

func (h *lineHeader) check() error {
	version := h.uint(2)
	if version >= 5 {
		h.bytes(2) // sizes of addresses and segment selectors
	}
	h.b = h.bytes(h.uint(h.offset))
	// Size of instructions, whether rows begin statements, line base and range.
	fixed := uint64(4)
	if version >= 4 {
		fixed++ // instructions in a bundle
	}
	h.bytes(fixed)
	if opcodes := h.uint(1); opcodes > 0 {
		h.bytes(opcodes - 1)
	}
	if version >= 5 {
		h.list()
		h.list()
	} else {
		for h.string() {
		}
		for h.string() {
			h.uleb() // directory, time, size
			h.uleb()
			h.uleb()
		}
	}
	if h.bad && h.err == nil {
		h.err = errLineHeader
	}
	return h.err
}

// name notes the name that b begins with, up to a zero.
func (h *lineHeader) name(b []byte) (length uint64) {
	n := bytes.IndexByte(b[:min(len(b), maxNames)], 0)
	if n < 0 {
		h.bad = true
		return 0
	}
	h.names++
	h.longest = max(h.longest, uint64(n))
	if h.names*h.longest > maxNames {
		h.bad, h.err = true, errLineNames
	}
	return uint64(n)
}

// string reads a name, and says whether it is one: lists end with an empty one.
func (h *lineHeader) string() bool {
	n := h.name(h.b)
	h.bytes(n + 1)
	return n > 0 && !h.bad
}

// list reads a list of DWARF 5: how its entries are made, how many there are,
// and these.
func (h *lineHeader) list() {
	forms := make([]uint64, h.uint(1))
	for i := range forms {
		h.uleb() // what it is
		forms[i] = h.uleb()
	}
	count := h.uleb()
	if len(forms) == 0 && count > 0 {
		h.bad = true
	}
	for ; count > 0 && !h.bad; count-- {
		for _, form := range forms {
			h.form(form)
		}
	}
}

// form reads an attribute of a form that the lists may have (DWARF 5 section
// 6.2.4.1). Each takes a byte at least.
func (h *lineHeader) form(form uint64) {
	switch form {
	case 0x08: // DW_FORM_string
		h.string()
	case 0x0e: // DW_FORM_strp
		h.indirect(h.str)
	case 0x1f: // DW_FORM_line_strp
		h.indirect(h.lineStr)
	case 0x1d: // DW_FORM_strp_sup
		h.bytes(h.offset)
	case 0x1a, 0x0f: // DW_FORM_strx, udata
		h.uleb()
	case 0x09: // DW_FORM_block
		h.bytes(h.uleb())
	default:
		size, ok := formSizes[form]
		h.bytes(size)
		h.bad = h.bad || !ok
	}
}

// formSizes are those of forms whose values all have the same, in bytes.
var formSizes = map[uint64]uint64{
	0x0b: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1e: 16, // DW_FORM_data1 to data16
	0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, // DW_FORM_strx1 to strx4
}

// indirect reads a name by its offset in a section of strings.
func (h *lineHeader) indirect(section []byte) {
	off := h.uint(h.offset)
	if off > uint64(len(section)) {
		h.bad = true
		return
	}
	h.name(section[off:])
}
