package tilegx

// accessKind says what an instruction of the table access does with memory.
type accessKind uint8

const (
	loads accessKind = iota
	loadsAligned
	stores
	exchanges
	comparesExchanges
	adds
	addsUnlessNegative
	ands
	ors
)

// accessing is an instruction that uses memory: size bytes of it.
type accessing struct {
	size   int
	signed bool
	kind   accessKind
}

// access are the instructions that exec leaves to rare: those that increment
// their address, and the atomic ones.
var access = [opCount + 1]accessing{
	opLdAdd: {size: 8}, opLdntAdd: {size: 8},
	opLd4uAdd: {size: 4}, opLdnt4uAdd: {size: 4},
	opLd2uAdd: {size: 2}, opLdnt2uAdd: {size: 2},
	opLd1uAdd: {size: 1}, opLdnt1uAdd: {size: 1},
	opLd4sAdd: {size: 4, signed: true}, opLdnt4sAdd: {size: 4, signed: true},
	opLd2sAdd: {size: 2, signed: true}, opLdnt2sAdd: {size: 2, signed: true},
	opLd1sAdd: {size: 1, signed: true}, opLdnt1sAdd: {size: 1, signed: true},
	opLdna: {size: 8, kind: loadsAligned}, opLdnaAdd: {size: 8, kind: loadsAligned},
	opStAdd: {size: 8, kind: stores}, opStntAdd: {size: 8, kind: stores},
	opSt4Add: {size: 4, kind: stores}, opStnt4Add: {size: 4, kind: stores},
	opSt2Add: {size: 2, kind: stores}, opStnt2Add: {size: 2, kind: stores},
	opSt1Add: {size: 1, kind: stores}, opStnt1Add: {size: 1, kind: stores},
	opExch: {size: 8, kind: exchanges}, opExch4: {size: 4, signed: true, kind: exchanges},
	opCmpexch: {size: 8, kind: comparesExchanges}, opCmpexch4: {size: 4, signed: true, kind: comparesExchanges},
	opFetchadd: {size: 8, kind: adds}, opFetchadd4: {size: 4, signed: true, kind: adds},
	opFetchaddgez: {size: 8, kind: addsUnlessNegative}, opFetchaddgez4: {size: 4, signed: true, kind: addsUnlessNegative},
	opFetchand: {size: 8, kind: ands}, opFetchand4: {size: 4, signed: true, kind: ands},
	opFetchor: {size: 8, kind: ors}, opFetchor4: {size: 4, signed: true, kind: ors},
}

// access executes an instruction of the table. Memory and registers are as
// before on error.
func (c *CPU) access(m *micro, s *accessing) error {
	addr, b := c.r[m.a], c.r[m.b]
	next := addr + uint64(m.imm)
	if s.kind == stores {
		if err := c.tlb.Store(addr, s.size, b); err != nil {
			return err
		}
		c.r[m.inc] = next
		return nil
	}
	if s.kind == loadsAligned {
		addr &^= 7
	}
	old, err := c.tlb.Load(addr, s.size)
	if err != nil {
		return err
	}
	result := old
	if s.signed {
		shift := uint(64 - 8*s.size)
		result = uint64(int64(old<<shift) >> shift)
	}
	store, v := true, b
	switch s.kind {
	case exchanges:
	case comparesExchanges:
		want := c.sprs[sprCmpexchValue]
		if s.size == 4 {
			want = uint64(uint32(want))
		}
		store = old == want
	case adds:
		v = old + b
	case addsUnlessNegative:
		v = old + b
		store = v>>(8*s.size-1)&1 == 0
	case ands:
		v = old & b
	case ors:
		v = old | b
	default:
		store = false
	}
	if store {
		if err := c.tlb.Store(addr, s.size, v); err != nil {
			return err
		}
	}
	c.r[m.inc] = next
	c.r[m.d] = result
	return nil
}
