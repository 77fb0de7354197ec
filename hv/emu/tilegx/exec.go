package tilegx

import (
	"errors"
	"fmt"
	"math/bits"
)

// errNotImplemented ends a guest that executes what this interpreter lacks.
var errNotImplemented = errors.New("not implemented")

// exec executes a block and sets pc. On error it returns the number of the
// micro that failed.
func (c *CPU) exec(blk *block) (int, error) {
	r := &c.r
	for i := range blk.micros {
		m := &blk.micros[i]
		var err error
		switch m.op {
		case opMove:
			r[m.d] = r[m.a]
		case opMovei, opMoveli:
			r[m.d] = uint64(m.imm)
		case opAdd:
			r[m.d] = r[m.a] + r[m.b]
		case opAddi, opAddli:
			r[m.d] = r[m.a] + uint64(m.imm)
		case opAddx:
			r[m.d] = extend32(r[m.a] + r[m.b])
		case opAddxi, opAddxli:
			r[m.d] = extend32(r[m.a] + uint64(m.imm))
		case opSub:
			r[m.d] = r[m.a] - r[m.b]
		case opSubx:
			r[m.d] = extend32(r[m.a] - r[m.b])
		case opAnd:
			r[m.d] = r[m.a] & r[m.b]
		case opAndi:
			r[m.d] = r[m.a] & uint64(m.imm)
		case opOr:
			r[m.d] = r[m.a] | r[m.b]
		case opOri:
			r[m.d] = r[m.a] | uint64(m.imm)
		case opXor:
			r[m.d] = r[m.a] ^ r[m.b]
		case opXori:
			r[m.d] = r[m.a] ^ uint64(m.imm)
		case opNor:
			r[m.d] = ^(r[m.a] | r[m.b])
		case opShl16insli:
			r[m.d] = r[m.a]<<16 | uint64(m.imm)&0xffff
		case opShl:
			r[m.d] = r[m.a] << (r[m.b] & 63)
		case opShli:
			r[m.d] = r[m.a] << uint(m.imm&63)
		case opShlx:
			r[m.d] = extend32(r[m.a] << (r[m.b] & 31))
		case opShlxi:
			r[m.d] = extend32(r[m.a] << uint(m.imm&31))
		case opShru:
			r[m.d] = r[m.a] >> (r[m.b] & 63)
		case opShrui:
			r[m.d] = r[m.a] >> uint(m.imm&63)
		case opShrux:
			r[m.d] = extend32(uint64(uint32(r[m.a]) >> (r[m.b] & 31)))
		case opShruxi:
			r[m.d] = extend32(uint64(uint32(r[m.a]) >> uint(m.imm&31)))
		case opShrs:
			r[m.d] = uint64(int64(r[m.a]) >> (r[m.b] & 63))
		case opShrsi:
			r[m.d] = uint64(int64(r[m.a]) >> uint(m.imm&63))
		case opRotl:
			r[m.d] = bits.RotateLeft64(r[m.a], int(r[m.b]&63))
		case opRotli:
			r[m.d] = bits.RotateLeft64(r[m.a], int(m.imm&63))
		case opShl1add:
			r[m.d] = r[m.a]<<1 + r[m.b]
		case opShl2add:
			r[m.d] = r[m.a]<<2 + r[m.b]
		case opShl3add:
			r[m.d] = r[m.a]<<3 + r[m.b]
		case opShl1addx:
			r[m.d] = extend32(r[m.a]<<1 + r[m.b])
		case opShl2addx:
			r[m.d] = extend32(r[m.a]<<2 + r[m.b])
		case opShl3addx:
			r[m.d] = extend32(r[m.a]<<3 + r[m.b])
		case opCmpeq:
			r[m.d] = truth(r[m.a] == r[m.b])
		case opCmpeqi:
			r[m.d] = truth(r[m.a] == uint64(m.imm))
		case opCmpne:
			r[m.d] = truth(r[m.a] != r[m.b])
		case opCmplts:
			r[m.d] = truth(int64(r[m.a]) < int64(r[m.b]))
		case opCmpltsi:
			r[m.d] = truth(int64(r[m.a]) < m.imm)
		case opCmples:
			r[m.d] = truth(int64(r[m.a]) <= int64(r[m.b]))
		case opCmpltu:
			r[m.d] = truth(r[m.a] < r[m.b])
		case opCmpltui:
			r[m.d] = truth(r[m.a] < uint64(m.imm))
		case opCmpleu:
			r[m.d] = truth(r[m.a] <= r[m.b])
		case opCmoveqz:
			if r[m.a] == 0 {
				r[m.d] = r[m.b]
			}
		case opCmovnez:
			if r[m.a] != 0 {
				r[m.d] = r[m.b]
			}
		case opMz:
			r[m.d] = r[m.b] & -truth(r[m.a] == 0)
		case opMnz:
			r[m.d] = r[m.b] & -truth(r[m.a] != 0)
		case opBfextu:
			r[m.d] = bits.RotateLeft64(r[m.a], -int(m.imm&63)) & fieldMask(m.imm)
		case opBfexts:
			shift := 63 - uint(m.imm>>8-m.imm)&63
			r[m.d] = uint64(int64(bits.RotateLeft64(r[m.a], -int(m.imm&63))<<shift) >> shift)

		case opLd, opLdnt:
			r[m.d], err = c.load(r[m.a], 8, r[m.d])
		case opLd4u, opLdnt4u:
			r[m.d], err = c.load(r[m.a], 4, r[m.d])
		case opLd4s, opLdnt4s:
			var v uint64
			if v, err = c.tlb.Load(r[m.a], 4); err == nil {
				r[m.d] = extend32(v)
			}
		case opLd2u, opLdnt2u:
			r[m.d], err = c.load(r[m.a], 2, r[m.d])
		case opLd2s, opLdnt2s:
			var v uint64
			if v, err = c.tlb.Load(r[m.a], 2); err == nil {
				r[m.d] = uint64(int16(v))
			}
		case opLd1u, opLdnt1u:
			r[m.d], err = c.load(r[m.a], 1, r[m.d])
		case opLd1s, opLdnt1s:
			var v uint64
			if v, err = c.tlb.Load(r[m.a], 1); err == nil {
				r[m.d] = uint64(int8(v))
			}
		case opSt, opStnt:
			err = c.tlb.Store(r[m.a], 8, r[m.b])
		case opSt4, opStnt4:
			err = c.tlb.Store(r[m.a], 4, r[m.b])
		case opSt2, opStnt2:
			err = c.tlb.Store(r[m.a], 2, r[m.b])
		case opSt1, opStnt1:
			err = c.tlb.Store(r[m.a], 1, r[m.b])

		case opBeqz, opBeqzt:
			if r[m.a] == 0 {
				c.pc = uint64(m.imm)
				return 0, nil
			}
		case opBnez, opBnezt:
			if r[m.a] != 0 {
				c.pc = uint64(m.imm)
				return 0, nil
			}
		case opBlbs, opBlbst:
			if r[m.a]&1 != 0 {
				c.pc = uint64(m.imm)
				return 0, nil
			}
		case opBlbc, opBlbct:
			if r[m.a]&1 == 0 {
				c.pc = uint64(m.imm)
				return 0, nil
			}
		case opBgez, opBgezt:
			if int64(r[m.a]) >= 0 {
				c.pc = uint64(m.imm)
				return 0, nil
			}
		case opBgtz, opBgtzt:
			if int64(r[m.a]) > 0 {
				c.pc = uint64(m.imm)
				return 0, nil
			}
		case opBlez, opBlezt:
			if int64(r[m.a]) <= 0 {
				c.pc = uint64(m.imm)
				return 0, nil
			}
		case opBltz, opBltzt:
			if int64(r[m.a]) < 0 {
				c.pc = uint64(m.imm)
				return 0, nil
			}
		case opJ:
			c.pc = uint64(m.imm)
			return 0, nil
		case opJal:
			r[lrReg] = blk.after(m)
			c.pc = uint64(m.imm)
			return 0, nil
		case opJr, opJrp:
			c.pc = r[m.a]
			return 0, nil
		case opJalr, opJalrp:
			target := r[m.a]
			r[lrReg] = blk.after(m)
			c.pc = target
			return 0, nil
		case opLnk:
			r[m.d] = blk.after(m)
		case opEnd:
			c.pc = uint64(m.imm)
			return 0, nil
		default:
			err = c.rare(m)
		}
		if err != nil {
			return i, err
		}
	}
	return 0, nil
}

// load reads size bytes; on error the register keeps what it has.
func (c *CPU) load(addr uint64, size int, keep uint64) (uint64, error) {
	v, err := c.tlb.Load(addr, size)
	if err != nil {
		return keep, err
	}
	return v, nil
}

// after is the address behind the bundle of m.
func (b *block) after(m *micro) uint64 { return b.pc + (uint64(m.bundle)+1)*bundleSize }

func extend32(v uint64) uint64 { return uint64(int64(int32(v))) }

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// fieldMask has as many low bits as the bit field from imm&63 to imm>>8, which
// may wrap around.
func fieldMask(imm int64) uint64 { return ^uint64(0) >> (63 - uint(imm>>8-imm)&63) }

// rare executes what compilers emit seldom.
func (c *CPU) rare(m *micro) error {
	r := &c.r
	if s := &access[m.op]; s.size != 0 {
		return c.access(m, s)
	}
	switch m.op {
	case opNop, opFnop, opInfo, opInfol, opMf, opDrain, opFlush, opFlushwb, opFinv, opInv, opDtlbpr, opWh64,
		opPrefetch, opPrefetchL1, opPrefetchL1Fault, opPrefetchL2, opPrefetchL2Fault, opPrefetchL3, opPrefetchL3Fault:
		return nil
	case opPrefetchAddL1, opPrefetchAddL1Fault, opPrefetchAddL2, opPrefetchAddL2Fault, opPrefetchAddL3, opPrefetchAddL3Fault:
		r[m.inc] = r[m.a] + uint64(m.imm)
		return nil
	case opIcoh:
		c.blocks.Flush()
		return nil
	case opNap:
		c.napped = true
		return nil
	case opMfspr:
		v, err := c.readSPR(uint64(m.imm))
		if err == nil {
			r[m.d] = v
		}
		return err
	case opMtspr:
		return c.writeSPR(uint64(m.imm), r[m.a])
	case opSwint2:
		return c.hypercall()
	case opBfins:
		mask := bits.RotateLeft64(fieldMask(m.imm), int(m.imm&63))
		r[m.d] = r[m.d]&^mask | bits.RotateLeft64(r[m.a], int(m.imm&63))&mask
		return nil
	case opMm:
		mask := bits.RotateLeft64(fieldMask(m.imm), int(m.imm&63))
		r[m.d] = r[m.d]&^mask | r[m.a]&mask
		return nil
	}
	b := r[m.b]
	if withNumber[m.op] {
		b = uint64(m.imm)
	}
	if v, ok := compute(m.op, r[m.d], r[m.a], b); ok {
		r[m.d] = v
		return nil
	}
	if v, ok := lanes(m.op, r[m.a], b); ok {
		r[m.d] = v
		return nil
	}
	return fmt.Errorf("%s: %w", m.op, errNotImplemented)
}
