package metag

import "math/bits"

// value16 is the immediate value with its sign, or for the upper half.
func (w word) value16() uint32 {
	v := w.imm16()
	if w.has(1) {
		v = uint32(w.signed(3, 16))
	}
	if w.has(0) {
		v <<= 16
	}
	return v
}

// masked16 is value16 with all bits set that it does not have, where bit 2 says
// so.
func (w word) masked16() uint32 {
	v := w.value16()
	if w.has(2) {
		if w.has(0) {
			return v | 0xffff
		}
		return v | 0xffff_0000
	}
	return v
}

// second is the slot of the second operand, which may be of another unit.
func (d *decoder) second(u unit) uint16 {
	if d.w.has(0) {
		su, n := secondOperand(u, d.w.rs2())
		return d.reg(su, n)
	}
	return d.operand(u, d.w.rs2())
}

// alu decodes additions, logic and multiplications.
func (d *decoder) alu() bool {
	w := d.w
	major, imm, cond := w.major(), w.has(25), w.has(26)
	onAddresses, setFlags := major == 8, w.has(27)
	u := dataUnit(w.bits(24, 1))
	if onAddresses {
		u, setFlags = addressUnit(w.bits(24, 1)), false
	}
	single := (onAddresses || major < 2) && w.has(2) && !cond
	d.known = true
	to := u
	switch {
	case imm && cond:
		d.op.imm = w.bits(6, 8)
		if w.has(5) {
			to = unit(w.bits(1, 4))
		} else {
			d.cond = uint8(w.cond())
		}
		d.op.a = d.operand(u, w.rs1())
	case imm:
		d.op.imm = w.value16()
		if major >= 2 && major <= 4 {
			d.op.imm = w.masked16()
		}
		if !single {
			d.op.a = d.operand(u, w.rd())
		}
	default:
		if !single {
			d.op.a = d.operand(u, w.rs1())
		}
		d.op.b = d.second(u)
		switch {
		case cond && major == 6:
			if w.has(5) {
				to = unit(w.bits(1, 4))
			} else {
				d.cond = uint8(w.cond())
			}
		case cond:
			d.cond = uint8(w.cond())
			to = unit(w.bits(5, 4))
		}
	}
	d.op.d = d.result(to, w.rd())
	kind := major
	switch {
	case onAddresses:
		kind = w.bits(27, 1) // ADD or SUB
	case major == 6:
		wide := w.has(6)
		if imm {
			wide = w.has(2)
		}
		if imm && cond {
			wide = w.has(0)
		}
		if !wide || d.op.d == scratch { // only data and address units multiply 32 bits
			kind = mulHalf
		}
	}
	if single {
		kind += movKind
	}
	form := 0
	if imm {
		form = 1
	}
	if setFlags {
		form += 2
	}
	do := operations[kind][form]
	return do != nil && d.set(do)
}

// Rows of operations beside the major opcodes ADD, SUB, AND, OR, XOR and MUL.
const (
	mulHalf = 7 // MULW
	movKind = 8 // of ADD, MOV; of SUB, NEG
)

// operations are by kind, and with registers or an immediate value, without
// flags and with.
var operations = [10][4]func(*cpu, *op) next{
	0: {add, addI, addS, addIS},
	1: {sub, subI, subS, subIS},
	2: {and, andI, andS, andIS},
	3: {or, orI, orS, orIS},
	4: {xor, xorI, xorS, xorIS},
	6: {mul, mulI, nil, nil},
	7: {mulW, mulWI, nil, nil},
	8: {moveB, moveValue, moveBS, moveValueS},
	9: {neg, negI, negS, negIS},
}

func add(c *cpu, o *op) next  { c.r[o.d] = c.r[o.a] + c.r[o.b]; return goOn }
func addI(c *cpu, o *op) next { c.r[o.d] = c.r[o.a] + o.imm; return goOn }
func sub(c *cpu, o *op) next  { c.r[o.d] = c.r[o.a] - c.r[o.b]; return goOn }
func subI(c *cpu, o *op) next { c.r[o.d] = c.r[o.a] - o.imm; return goOn }
func and(c *cpu, o *op) next  { c.r[o.d] = c.r[o.a] & c.r[o.b]; return goOn }
func andI(c *cpu, o *op) next { c.r[o.d] = c.r[o.a] & o.imm; return goOn }
func or(c *cpu, o *op) next   { c.r[o.d] = c.r[o.a] | c.r[o.b]; return goOn }
func orI(c *cpu, o *op) next  { c.r[o.d] = c.r[o.a] | o.imm; return goOn }
func xor(c *cpu, o *op) next  { c.r[o.d] = c.r[o.a] ^ c.r[o.b]; return goOn }
func xorI(c *cpu, o *op) next { c.r[o.d] = c.r[o.a] ^ o.imm; return goOn }
func mul(c *cpu, o *op) next  { c.r[o.d] = c.r[o.a] * c.r[o.b]; return goOn }
func mulI(c *cpu, o *op) next { c.r[o.d] = c.r[o.a] * o.imm; return goOn }

func mulW(c *cpu, o *op) next  { c.r[o.d] = c.r[o.a] & 0xffff * (c.r[o.b] & 0xffff); return goOn }
func mulWI(c *cpu, o *op) next { c.r[o.d] = c.r[o.a] & 0xffff * (o.imm & 0xffff); return goOn }

func moveB(c *cpu, o *op) next { c.r[o.d] = c.r[o.b]; return goOn }
func neg(c *cpu, o *op) next   { c.r[o.d] = -c.r[o.b]; return goOn }
func negI(c *cpu, o *op) next  { c.r[o.d] = -o.imm; return goOn }

func addS(c *cpu, o *op) next  { c.r[o.d] = c.sum(c.r[o.a], c.r[o.b]); return goOn }
func addIS(c *cpu, o *op) next { c.r[o.d] = c.sum(c.r[o.a], o.imm); return goOn }
func subS(c *cpu, o *op) next  { c.r[o.d] = c.difference(c.r[o.a], c.r[o.b]); return goOn }
func subIS(c *cpu, o *op) next { c.r[o.d] = c.difference(c.r[o.a], o.imm); return goOn }
func andS(c *cpu, o *op) next  { c.r[o.d] = c.logic(c.r[o.a] & c.r[o.b]); return goOn }
func andIS(c *cpu, o *op) next { c.r[o.d] = c.logic(c.r[o.a] & o.imm); return goOn }
func orS(c *cpu, o *op) next   { c.r[o.d] = c.logic(c.r[o.a] | c.r[o.b]); return goOn }
func orIS(c *cpu, o *op) next  { c.r[o.d] = c.logic(c.r[o.a] | o.imm); return goOn }
func xorS(c *cpu, o *op) next  { c.r[o.d] = c.logic(c.r[o.a] ^ c.r[o.b]); return goOn }
func xorIS(c *cpu, o *op) next { c.r[o.d] = c.logic(c.r[o.a] ^ o.imm); return goOn }

func moveBS(c *cpu, o *op) next     { c.r[o.d] = c.logic(c.r[o.b]); return goOn }
func moveValueS(c *cpu, o *op) next { c.r[o.d] = c.logic(o.imm); return goOn }
func negS(c *cpu, o *op) next       { c.r[o.d] = c.difference(0, c.r[o.b]); return goOn }
func negIS(c *cpu, o *op) next      { c.r[o.d] = c.difference(0, o.imm); return goOn }

// flagsOf are Z and N of a result.
func flagsOf(v uint32) uint32 {
	f := v >> 31 * flagN
	if v == 0 {
		f |= flagZ
	}
	return f
}

// sum adds and sets the flags: C is the carry.
func (c *cpu) sum(a, b uint32) uint32 {
	v, carry := bits.Add32(a, b, 0)
	c.flags = flagsOf(v) | carry*flagC | (a^v)&(b^v)>>31*flagV
	return v
}

// difference subtracts and sets the flags: C is the borrow.
func (c *cpu) difference(a, b uint32) uint32 {
	v, borrow := bits.Sub32(a, b, 0)
	c.flags = flagsOf(v) | borrow*flagC | (a^b)&(a^v)>>31*flagV
	return v
}

// logic sets the flags of a result without carry or overflow.
func (c *cpu) logic(v uint32) uint32 {
	c.flags = flagsOf(v)
	return v
}

// compare decodes CMP and TST.
func (d *decoder) compare() bool {
	w := d.w
	d.known = true
	u := dataUnit(w.bits(24, 1))
	imm, cond := w.has(25), w.has(26)
	if cond {
		d.cond = uint8(w.cond())
	}
	switch {
	case imm && cond:
		d.op.a, d.op.imm = d.reg(u, w.rs1()), w.bits(6, 8)
	case imm:
		d.op.a, d.op.imm = d.reg(u, w.rd()), w.masked16()
	default:
		d.op.a, d.op.b = d.reg(u, w.rs1()), d.second(u)
	}
	do := [4]func(*cpu, *op) next{cmp, cmpI, tst, tstI}[w.bits(27, 1)<<1|w.bits(25, 1)]
	d.op.d = slot(u, 0)
	return d.set(do)
}

func cmp(c *cpu, o *op) next  { c.difference(c.r[o.a], c.r[o.b]); return goOn }
func cmpI(c *cpu, o *op) next { c.difference(c.r[o.a], o.imm); return goOn }
func tst(c *cpu, o *op) next  { c.logic(c.r[o.a] & c.r[o.b]); return goOn }
func tstI(c *cpu, o *op) next { c.logic(c.r[o.a] & o.imm); return goOn }

// shift decodes LSL, ASL, LSR and ASR.
func (d *decoder) shift() bool {
	w := d.w
	d.known = true
	u := dataUnit(w.bits(24, 1))
	to := u
	if w.has(26) {
		if w.has(5) {
			to = unit(w.bits(1, 4))
		} else {
			d.cond = uint8(w.cond())
		}
	}
	d.op.a = d.reg(u, w.rs1())
	d.op.b, d.op.imm = noSlot, w.rs2()
	if !w.has(25) {
		d.op.b = d.reg(u, w.rs2())
	}
	d.op.d = d.result(to, w.rd())
	do := [4]func(*cpu, *op) next{lsl, lsr, lsl, asr}[w.bits(6, 2)]
	if w.has(27) {
		do = [4]func(*cpu, *op) next{lslS, lsrS, lslS, asrS}[w.bits(6, 2)]
	}
	return d.set(do)
}

// noSlot stands for the immediate value as a shift's amount.
const noSlot = scratch

// amount is how far a shift goes.
func (c *cpu) amount(o *op) uint32 {
	if o.b == noSlot {
		return o.imm
	}
	return c.r[o.b] & 31
}

func lsl(c *cpu, o *op) next { c.r[o.d] = c.r[o.a] << c.amount(o); return goOn }
func lsr(c *cpu, o *op) next { c.r[o.d] = c.r[o.a] >> c.amount(o); return goOn }
func asr(c *cpu, o *op) next {
	c.r[o.d] = uint32(int32(c.r[o.a]) >> c.amount(o))
	return goOn
}

// The flag C is the last bit that was shifted out.
func lslS(c *cpu, o *op) next {
	v, n := c.r[o.a], c.amount(o)
	c.r[o.d] = c.shifted(v<<n, v>>((32-n)&31), n)
	return goOn
}

func lsrS(c *cpu, o *op) next {
	v, n := c.r[o.a], c.amount(o)
	c.r[o.d] = c.shifted(v>>n, v>>((n-1)&31), n)
	return goOn
}

func asrS(c *cpu, o *op) next {
	v, n := c.r[o.a], c.amount(o)
	c.r[o.d] = c.shifted(uint32(int32(v)>>n), v>>((n-1)&31), n)
	return goOn
}

func (c *cpu) shifted(v, out, n uint32) uint32 {
	c.flags = flagsOf(v)
	if n != 0 {
		c.flags |= out & 1 * flagC
	}
	return v
}

// unary decodes MIN, MAX, ABS, NORM, FFB, extensions, rotations and swaps of
// bytes.
func (d *decoder) unary(f format) bool {
	w := d.w
	d.known = true
	if w.major() == 0xa {
		u := dataUnit(w.bits(0, 1))
		d.op.a, d.op.d = d.reg(u, w.rs1()), d.reg(u, w.rd())
		kind := w.bits(1, 2)
		if kind == 2 && w.has(4) { // BEXL: both halves
			d.op.b = d.reg(u.pair(), w.rs1())
			d.op.imm = uint32(d.reg(u.pair(), w.rd()))
			kind = 4
		}
		do := [5]func(*cpu, *op) next{xsdb, xsdw, bexd, rtdw, bexl}[kind]
		if w.has(3) {
			do = [5]func(*cpu, *op) next{xsdbS, xsdwS, bexdS, rtdwS, nil}[kind]
		}
		return do != nil && d.set(do)
	}
	u := dataUnit(w.bits(24, 1))
	d.op.a, d.op.d = d.reg(u, w.rs1()), d.reg(u, w.rd())
	if f == minMax {
		d.op.b = d.reg(u, w.rs2())
	}
	do := map[uint32]func(*cpu, *op) next{
		0x20: smaller, 0x24: larger, 0x2c: nmin, 0x04: ffb, 0x08: norm, 0x28: abs,
	}[w.bits(0, 6)]
	return do != nil && d.set(do)
}

func xsdb(c *cpu, o *op) next { c.r[o.d] = uint32(int8(c.r[o.a])); return goOn }
func xsdw(c *cpu, o *op) next { c.r[o.d] = uint32(int16(c.r[o.a])); return goOn }
func bexd(c *cpu, o *op) next { c.r[o.d] = bits.ReverseBytes32(c.r[o.a]); return goOn }
func rtdw(c *cpu, o *op) next { c.r[o.d] = bits.RotateLeft32(c.r[o.a], 16); return goOn }

func xsdbS(c *cpu, o *op) next { c.r[o.d] = c.logic(uint32(int8(c.r[o.a]))); return goOn }
func xsdwS(c *cpu, o *op) next { c.r[o.d] = c.logic(uint32(int16(c.r[o.a]))); return goOn }
func bexdS(c *cpu, o *op) next { c.r[o.d] = c.logic(bits.ReverseBytes32(c.r[o.a])); return goOn }
func rtdwS(c *cpu, o *op) next { c.r[o.d] = c.logic(bits.RotateLeft32(c.r[o.a], 16)); return goOn }

func bexl(c *cpu, o *op) next {
	a, b := c.r[o.a], c.r[o.b]
	c.r[o.d], c.r[o.imm] = bits.ReverseBytes32(b), bits.ReverseBytes32(a)
	return goOn
}

// The flags are those of a comparison of the operands, or of the one with zero;
// ABS compares with the least number.
func smaller(c *cpu, o *op) next {
	a, b := c.r[o.a], c.r[o.b]
	c.difference(a, b)
	c.r[o.d] = uint32(min(int32(a), int32(b)))
	return goOn
}

func larger(c *cpu, o *op) next {
	a, b := c.r[o.a], c.r[o.b]
	c.difference(a, b)
	c.r[o.d] = uint32(max(int32(a), int32(b)))
	return goOn
}

func abs(c *cpu, o *op) next {
	a := c.r[o.a]
	c.difference(a, 1<<31)
	if int32(a) < 0 {
		a = -a
	}
	c.r[o.d] = a
	return goOn
}

// significant is the number of bits of a value without its sign.
func significant(v uint32) int32 { return int32(bits.Len32(v ^ uint32(int32(v)>>31))) }

func ffb(c *cpu, o *op) next {
	v := c.r[o.a]
	c.difference(v, 0)
	c.r[o.d] = uint32(significant(v) - 1)
	return goOn
}

func norm(c *cpu, o *op) next {
	v := c.r[o.a]
	c.difference(v, 0)
	c.r[o.d] = uint32(31 - significant(v))
	return goOn
}

func nmin(c *cpu, o *op) next {
	v := c.r[o.a]
	c.difference(v, 0)
	c.r[o.d] = uint32(min(31-significant(v), int32(c.r[o.b])))
	return goOn
}
