package symbols

import (
	"debug/dwarf"
	"fmt"
	"math/bits"
)

// Bounds on what a hostile file can ask for.
const (
	maxTypeDepth = 64
	maxMembers   = 1 << 18 // of one structure with all that are in it
	maxTypeReads = 1 << 22 // debug entries read for one structure
)

// aggregate is a structure or union, by value: what a structure's members
// hold in turn is in the same list of aggregates.
type aggregate struct {
	Name    string   `json:"n,omitempty"` // its tag
	Union   bool     `json:"u,omitempty"`
	Size    uint64   `json:"s"`
	Members []member `json:"m,omitempty"`
}

// member is a member of an aggregate.
type member struct {
	Name      string   `json:"n,omitempty"` // empty: its members belong to the outer one
	Offset    uint64   `json:"o,omitempty"`
	Size      uint64   `json:"s,omitempty"` // of the whole, in bytes
	BitOffset uint64   `json:"bo,omitempty"`
	BitSize   uint64   `json:"bs,omitempty"`
	Type      string   `json:"t"`           // of an element
	Dims      []uint64 `json:"d,omitempty"` // elements along each dimension; zero: flexible
	Elem      uint64   `json:"e,omitempty"` // size of an element, for arrays
	Inner     int      `json:"i,omitempty"` // index of its aggregate, zero for none
	Kind      kind     `json:"k,omitempty"` // of an element that is no aggregate
}

// kind is what a type comes to behind all its names.
type kind uint8

const (
	kindOther   kind = iota // nothing is known
	kindPointer             // to data or code
	kindInteger             // characters included
	kindNumber              // what holds no address: bool, enum, floating point
)

// typeReader reads aggregates out of DWARF. debug/dwarf's own Data.Type is
// not used: it follows pointers, so that one structure drags in the types of
// the whole unit, by recursion that a hostile file can make endless.
type typeReader struct {
	di      *debugInfo
	r       *entries
	index   map[dwarf.Offset]int
	out     []aggregate
	members int
}

// typeDesc is what a member's type comes to.
type typeDesc struct {
	name string
	size uint64       // of the whole
	dims []uint64     // of an array
	elem uint64       // size of an array's element
	agg  dwarf.Offset // the aggregate that it is, or is an array of; zero for none
	kind kind         // of an element
}

// readAggregate reads the structure or union whose entry is at off; the first
// of the result is it.
func (di *debugInfo) readAggregate(off dwarf.Offset) ([]aggregate, error) {
	t := di.newTypeReader()
	if _, err := t.aggregate(off, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", di.im.path, err)
	}
	return t.out, nil
}

func (di *debugInfo) newTypeReader() *typeReader {
	return &typeReader{di: di, r: di.someEntries(maxTypeReads), index: map[dwarf.Offset]int{}}
}

func (t *typeReader) entry(off dwarf.Offset) (*dwarf.Entry, error) {
	e, err := t.r.at(off)
	if err != nil {
		return nil, fmt.Errorf("%w: a type at %#x: %w", ErrCorrupt, off, err)
	}
	return e, nil
}

func (t *typeReader) aggregate(off dwarf.Offset, depth int) (int, error) {
	if i, ok := t.index[off]; ok {
		return i, nil
	}
	if depth > maxTypeDepth {
		return 0, fmt.Errorf("%w: structures nest too deeply", ErrCorrupt)
	}
	e, err := t.entry(off)
	if err != nil {
		return 0, err
	}
	a := aggregate{Union: e.Tag == dwarf.TagUnionType, Size: unsigned(e, dwarf.AttrByteSize)}
	a.Name, _ = e.Val(dwarf.AttrName).(string)
	i := len(t.out)
	t.index[off] = i
	t.out = append(t.out, a)

	var entries []*dwarf.Entry
	for e.Children {
		m, err := t.r.next()
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if m == nil || m.Tag == 0 {
			break
		}
		if m.Tag == dwarf.TagMember {
			if t.members++; t.members > maxMembers {
				return 0, fmt.Errorf("%w: a structure has too many members", ErrCorrupt)
			}
			entries = append(entries, m)
		}
		if err := t.r.skipChildren(m); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	members := make([]member, 0, len(entries))
	for _, e := range entries {
		m, err := t.member(e, a.Size, depth)
		if err != nil {
			return 0, err
		}
		if m.BitSize > 64 {
			continue // laid out as no integer can hold it: as if it were not there
		}
		members = append(members, m)
	}
	t.out[i].Members = members
	return i, nil
}

func (t *typeReader) member(e *dwarf.Entry, outer uint64, depth int) (member, error) {
	m := member{}
	m.Name, _ = e.Val(dwarf.AttrName).(string)
	off, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return m, fmt.Errorf("%w: member %s has no type", ErrCorrupt, m.Name)
	}
	d, err := t.describe(off, 0)
	if err != nil {
		return m, err
	}
	m.Size, m.Type, m.Dims, m.Elem, m.Kind = d.size, d.name, d.dims, d.elem, d.kind
	if m.Offset, err = t.location(e); err != nil {
		return m, err
	}
	if n, ok := e.Val(dwarf.AttrBitSize).(int64); ok && n > 0 && n <= 64 {
		t.bitField(&m, e, uint64(n), outer)
	}
	if d.agg != 0 {
		if m.Inner, err = t.aggregate(d.agg, depth+1); err != nil {
			return m, err
		}
		if m.Inner == 0 {
			return m, fmt.Errorf("%w: a structure contains itself", ErrCorrupt)
		}
	}
	return m, nil
}

// location reads DW_AT_data_member_location: a constant, or in DWARF 2 an
// expression DW_OP_plus_uconst N. Members of unions may have none.
func (t *typeReader) location(e *dwarf.Entry) (uint64, error) {
	switch v := e.Val(dwarf.AttrDataMemberLoc).(type) {
	case nil:
		return 0, nil
	case int64:
		return uint64(v), nil
	case []byte:
		const plusUconst = 0x23
		if len(v) < 2 || v[0] != plusUconst {
			break
		}
		var n uint64
		for i, b := range v[1:min(len(v), 10)] {
			n |= uint64(b&0x7f) << (7 * i)
			if b < 0x80 {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: a member's location is of a form that structures do not have", ErrCorrupt)
}

// bitField turns the two ways in which DWARF places a bit field into a shift
// within the smallest whole integer around it, see Field. DWARF 4 and 5 count
// DW_AT_data_bit_offset from the start of the structure, in memory order:
// from the least significant bit on little-endian machines and from the most
// significant on others. Before, DW_AT_bit_offset counts from the most
// significant bit of the member's storage unit on both.
func (t *typeReader) bitField(m *member, e *dwarf.Entry, width, outer uint64) {
	big := t.di.im.elf.ByteOrder.String() == "BigEndian"
	var first uint64 // in memory order, from the start of the structure
	if n, ok := e.Val(dwarf.AttrDataBitOffset).(int64); ok {
		first = uint64(n)
	} else if n, ok := e.Val(dwarf.AttrBitOffset).(int64); ok {
		unit := m.Size
		if s, ok := e.Val(dwarf.AttrByteSize).(int64); ok {
			unit = uint64(s)
		}
		if big {
			first = m.Offset*8 + uint64(n)
		} else {
			first = m.Offset*8 + unit*8 - uint64(n) - width
		}
	} else {
		first = m.Offset * 8
	}
	place := func(offset, size uint64) bool {
		if first < offset*8 || first+width > (offset+size)*8 {
			return false
		}
		m.Offset, m.Size, m.BitSize = offset, size, width
		m.BitOffset = first - offset*8
		if big {
			m.BitOffset = size*8 - width - m.BitOffset
		}
		return true
	}
	for _, size := range []uint64{1, 2, 4, 8} {
		at := first / 8 / size * size
		if at+size <= outer && place(at, size) {
			return
		}
	}
	// Packed structures may have it across the natural boundaries.
	for _, size := range []uint64{2, 4, 8} {
		at := first / 8
		if at+size > outer && outer >= size {
			at = outer - size
		}
		if place(at, size) {
			return
		}
	}
	m.BitSize = 65
}

// describe follows typedefs and qualifiers to a type's size and kind.
func (t *typeReader) describe(off dwarf.Offset, depth int) (typeDesc, error) {
	if depth > maxTypeDepth {
		return typeDesc{}, fmt.Errorf("%w: types nest too deeply", ErrCorrupt)
	}
	e, err := t.entry(off)
	if err != nil {
		return typeDesc{}, err
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	size := unsigned(e, dwarf.AttrByteSize)
	switch e.Tag {
	case dwarf.TagStructType, dwarf.TagClassType, dwarf.TagUnionType:
		word := "struct "
		if e.Tag == dwarf.TagUnionType {
			word = "union "
		}
		if name == "" {
			name = "{...}"
		}
		return typeDesc{name: word + name, size: size, agg: off}, nil
	case dwarf.TagEnumerationType:
		if name == "" {
			name = "{...}"
		}
		return typeDesc{name: "enum " + name, size: size, kind: kindNumber}, nil
	case dwarf.TagPointerType:
		if size == 0 {
			size = uint64(t.di.im.arch.WordSize)
		}
		target, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
		if !ok {
			return typeDesc{name: "void *", size: size, kind: kindPointer}, nil
		}
		return typeDesc{name: pointerTo(t.name(target, depth+1)), size: size, kind: kindPointer}, nil
	case dwarf.TagArrayType:
		return t.array(e, depth)
	case dwarf.TagTypedef, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
		target, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
		if !ok {
			return typeDesc{name: qualified(e.Tag, name, "void")}, nil
		}
		d, err := t.describe(target, depth+1)
		d.name = qualified(e.Tag, name, d.name)
		return d, err
	}
	if name == "" {
		name = "?"
	}
	return typeDesc{name: name, size: size, kind: baseKind(e)}, nil
}

// baseKind is the kind of a base type by DW_AT_encoding (DWARF 5 section
// 7.8).
func baseKind(e *dwarf.Entry) kind {
	const boolean, float, signed, unsignedChar, utf, ascii = 0x02, 0x04, 0x05, 0x08, 0x10, 0x12
	if e.Tag != dwarf.TagBaseType {
		return kindOther
	}
	switch n, _ := e.Val(dwarf.AttrEncoding).(int64); {
	case n == boolean || n == float:
		return kindNumber
	case n >= signed && n <= unsignedChar, n >= utf && n <= ascii:
		return kindInteger
	}
	return kindOther
}

func (t *typeReader) array(e *dwarf.Entry, depth int) (typeDesc, error) {
	target, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return typeDesc{}, fmt.Errorf("%w: an array has no type", ErrCorrupt)
	}
	// The dimensions come first: describe moves the reader.
	var dims []uint64
	for e.Children {
		c, err := t.r.next()
		if err != nil {
			return typeDesc{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if c == nil || c.Tag == 0 {
			break
		}
		if c.Tag == dwarf.TagSubrangeType && len(dims) < 16 {
			n := uint64(0)
			if v, ok := c.Val(dwarf.AttrCount).(int64); ok {
				n = uint64(v)
			} else if v, ok := c.Val(dwarf.AttrUpperBound).(int64); ok && v >= 0 {
				n = uint64(v) + 1
			}
			dims = append(dims, n)
		}
		if err := t.r.skipChildren(c); err != nil {
			return typeDesc{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	if len(dims) == 0 {
		dims = []uint64{0}
	}
	d, err := t.describe(target, depth+1)
	if err != nil {
		return d, err
	}
	if d.dims == nil {
		d.elem = d.size
	}
	for _, n := range dims {
		hi, lo := bits.Mul64(d.size, n)
		if hi != 0 {
			return d, fmt.Errorf("%w: an array is larger than the address space", ErrCorrupt)
		}
		d.size = lo
	}
	d.dims = append(dims, d.dims...)
	if len(d.dims) > 64 {
		return d, fmt.Errorf("%w: an array has too many dimensions", ErrCorrupt)
	}
	return d, nil
}

// unsigned returns an attribute that is a small number, zero if it is not
// there.
func unsigned(e *dwarf.Entry, a dwarf.Attr) uint64 {
	v, _ := e.Val(a).(int64)
	return uint64(max(v, 0))
}
