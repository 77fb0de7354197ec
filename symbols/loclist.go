package symbols

import "debug/dwarf"

// Kinds of entries in .debug_loclists: DWARF 5 section 7.7.3, and GNU's pairs
// of view numbers, which come before the list's entries.
const (
	lleEnd             = 0x00
	lleBaseAddressx    = 0x01
	lleStartxEndx      = 0x02
	lleStartxLength    = 0x03
	lleOffsetPair      = 0x04
	lleDefaultLocation = 0x05
	lleBaseAddress     = 0x06
	lleStartEnd        = 0x07
	lleStartLength     = 0x08
	lleViewPair        = 0x09
)

// maxLocations bounds the entries read of one list.
const maxLocations = 1 << 14

// location says where a variable is while the program counter is in a range.
type location struct {
	Range
	expr []byte // DWARF expression
}

// locations reads the location list of an entry's DW_AT_location, nil where
// it has none: a variable that is in one place all along has an expression
// instead. It is read here rather than by delve's loclist package, which
// takes all files for little-endian.
func (di *debugInfo) locations(unit *dwarf.Entry, e *dwarf.Entry) []location {
	f := e.AttrField(dwarf.AttrLocation)
	if f == nil {
		return nil
	}
	off, ok := f.Val.(int64)
	if !ok || off < 0 {
		return nil
	}
	l := lists{cursor: cursor{order: di.im.elf.ByteOrder}, word: di.im.arch.WordSize, addr: di.addr}
	l.addrBase, _ = unit.Val(dwarf.AttrAddrBase).(int64)
	low, _ := unit.Val(dwarf.AttrLowpc).(uint64)
	switch {
	case di.loclists == nil:
		return l.v4(di.loc, uint64(off), low)
	case f.Class == dwarf.ClassLocList: // an index into the unit's offsets
		base, _ := unit.Val(dwarf.AttrLoclistsBase).(int64)
		at := base + 4*off
		if base < 0 || at < base || at+4 > int64(len(di.loclists)) {
			return nil
		}
		off = base + int64(l.order.Uint32(di.loclists[at:]))
	}
	return l.v5(di.loclists, uint64(off), low)
}

// lists reads location lists. What is cut short ends there.
type lists struct {
	cursor
	word     int
	addr     []byte // .debug_addr
	addrBase int64
}

func (l *lists) address() uint64 { return l.uint(uint64(l.word)) }

// indexed reads an index into .debug_addr, and the address there.
func (l *lists) indexed() uint64 {
	i := l.uleb()
	if l.bad || l.addrBase < 0 || i > uint64(len(l.addr)) {
		l.bad = true
		return 0
	}
	at := uint64(l.addrBase) + i*uint64(l.word)
	if at > uint64(len(l.addr)) {
		l.bad = true
		return 0
	}
	a := cursor{order: l.order, b: l.addr[at:]}
	v := a.uint(uint64(l.word))
	l.bad = a.bad
	return v
}

func (l *lists) v5(section []byte, off, base uint64) (out []location) {
	if off >= uint64(len(section)) {
		return nil
	}
	l.b = section[off:]
	for range maxLocations {
		if l.bad || len(l.b) == 0 {
			return out
		}
		kind := l.b[0]
		l.b = l.b[1:]
		var r Range
		switch kind {
		case lleBaseAddressx:
			base = l.indexed()
			continue
		case lleBaseAddress:
			base = l.address()
			continue
		case lleViewPair:
			l.uleb()
			l.uleb()
			continue
		case lleStartxEndx:
			r.Start, r.End = l.indexed(), l.indexed()
		case lleStartxLength:
			r.Start = l.indexed()
			r.End = r.Start + l.uleb()
		case lleOffsetPair:
			r.Start, r.End = base+l.uleb(), base+l.uleb()
		case lleDefaultLocation:
		case lleStartEnd:
			r.Start, r.End = l.address(), l.address()
		case lleStartLength:
			r.Start = l.address()
			r.End = r.Start + l.uleb()
		default: // lleEnd, or what nobody knows
			return out
		}
		if e := l.bytes(l.uleb()); !l.bad && r.Start < r.End {
			out = append(out, location{r, e})
		}
	}
	return out
}

// v4 reads a list of .debug_loc (DWARF 4 section 2.6.2).
func (l *lists) v4(section []byte, off, base uint64) (out []location) {
	if off >= uint64(len(section)) {
		return nil
	}
	l.b = section[off:]
	top := ^uint64(0) >> (64 - 8*l.word)
	for range maxLocations {
		start, end := l.address(), l.address()
		switch {
		case l.bad || start == 0 && end == 0:
			return out
		case start == top:
			base = end
			continue
		}
		if e := l.bytes(l.uint(2)); !l.bad && start < end {
			out = append(out, location{Range{Start: base + start, End: base + end}, e})
		}
	}
	return out
}
