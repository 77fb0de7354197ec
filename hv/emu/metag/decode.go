package metag

// next is what comes behind an instruction.
type next uint8

const (
	goOn    next = iota
	jumped       // pc says where to
	stopped      // it was not executed; cpu.err, or cpu.yield
)

// block is straight code.
type block struct {
	ops     []op
	end     uint32 // address behind it
	atBreak bool   // it begins where CPUs stop
}

// op is a decoded instruction.
type op struct {
	do      func(*cpu, *op) next
	inner   func(*cpu, *op) next // what do wraps
	imm     uint32
	d, a, b uint16 // slots: result and operands
	cond    uint8
	size    uint8 // of memory accesses, in bytes
	unit    unit  // of a register outside of the data and address units
	number  uint32
	pc      uint32
	word    word
}

// maxOps bounds a block.
const maxOps = 64

const codePage = 4096

// decode makes a block of the code at an address.
func (c *cpu) decode(pc uint32) (*block, error) {
	b := &block{atBreak: c.breaks.Has(uint64(pc))}
	for at := pc; ; at += 4 {
		v, err := c.tlb.Load(uint64(at), 4)
		if err != nil {
			return nil, err // of the first, as the others lie in its page
		}
		o, last := decode(word(v), at)
		b.ops = append(b.ops, o)
		b.end = at + 4
		if last || len(b.ops) == maxOps || b.end%codePage == 0 || c.breaks.Has(uint64(b.end)) {
			break
		}
	}
	gpa, err := c.tlb.Physical(guestAddress(pc))
	if err != nil {
		return nil, err
	}
	c.bus.MarkCode(gpa)
	return b, nil
}

// decode says what an instruction at an address does. Last says that it may go
// elsewhere than to the next one.
func decode(w word, pc uint32) (o op, last bool) {
	o = op{pc: pc, word: w, do: unknown}
	e := find(w)
	if e == nil {
		return o, true
	}
	d := &decoder{op: &o, w: w}
	ok := false
	switch e.format {
	case none:
		ok = d.none()
	case moveUnits:
		ok = d.moveUnits()
	case swap:
		ok = d.swap()
	case moveControl:
		ok = d.moveControl()
	case getSet:
		ok = d.getSet()
	case getSetLong:
		ok = d.getSetLong()
	case getSetMany:
		ok = e.flags&fpu == 0 && d.getSetMany()
	case setIf:
		ok = w&0x80 == 0 && d.setIf() // else LNKSET
	case jump, callr, branch:
		d.branch(e.format)
		ok = d.known
	case alu:
		ok = e.flags&rotates == 0 && d.alu()
	case shift:
		ok = d.shift()
	case minMax, bitop:
		ok = d.unary(e.format)
	case compare:
		ok = d.compare()
	case cacheWrite, icache:
		o.do, ok = nothing, true
	}
	if !ok {
		return op{pc: pc, word: w, do: unimplemented}, true
	}
	return o, d.last
}

// decoder fills in an op. Known turns false with the first register that is
// not implemented.
type decoder struct {
	*op
	w     word
	known bool
	last  bool
}

// reg is the slot of a general register.
func (d *decoder) reg(u unit, n uint32) uint16 {
	if !general(u, n) {
		d.known = false
		return scratch
	}
	return slot(u, n)
}

// operand is reg, or the program counter for the numbers of an address unit
// that stand for it.
func (d *decoder) operand(u unit, n uint32) uint16 {
	if (u == unitA0 || u == unitA1) && n&16 != 0 {
		d.inner = usePC
		return pcSlot
	}
	return d.reg(u, n)
}

// result is where an operation leaves its result: in any register.
func (d *decoder) result(u unit, n uint32) uint16 {
	if u == unitA0 || u == unitA1 {
		n &= 15
	}
	if general(u, n) {
		return slot(u, n)
	}
	d.unit, d.number = u, n
	if u >= unitRD && u != unitTR || u > unitFX {
		d.known = false
	}
	d.last = d.last || u == unitPC
	return scratch
}

// set is the operation, wrapped where an operand or the result is special.
func (d *decoder) set(do func(*cpu, *op) next) bool {
	pc := d.op.inner != nil
	d.op.do, d.op.inner = do, nil
	if d.op.d == scratch {
		d.op.do, d.op.inner = writeSpecial, do
	}
	if pc {
		if d.op.inner == nil {
			d.op.do, d.op.inner = withPC, do
		} else {
			d.op.do = withPCSpecial
		}
	}
	return d.known
}

// usePC marks an op whose operand is the program counter.
func usePC(*cpu, *op) next { return goOn }

func withPC(c *cpu, o *op) next {
	c.r[pcSlot] = o.pc
	return o.inner(c, o)
}

func writeSpecial(c *cpu, o *op) next {
	if o.inner(c, o) == stopped {
		return stopped
	}
	return c.write(o.unit, o.number, c.r[scratch])
}

func withPCSpecial(c *cpu, o *op) next {
	c.r[pcSlot] = o.pc
	return writeSpecial(c, o)
}

func nothing(*cpu, *op) next { return goOn }

func unknown(c *cpu, _ *op) next {
	c.err = errUnknown
	return stopped
}

func unimplemented(c *cpu, _ *op) next {
	c.err = errNotImplemented
	return stopped
}

// none decodes NOP and the locks.
func (d *decoder) none() bool {
	switch d.w {
	case 0xa0fffffe:
		d.do = nothing
	case 0xa8000000:
		d.do = unlock
	case 0xa8000001, 0xa8000003:
		d.do, d.last = lock, true
	case 0xae000000, 0xae000001: // ICACHEEXIT
		d.do = nothing
	default:
		return false
	}
	return true
}

// lock takes the lock that one thread of the core can have.
func lock(c *cpu, o *op) next {
	if c.core.locked != nil && c.core.locked != c {
		c.yield = true
		return stopped
	}
	c.core.locked = c
	return goOn
}

func unlock(c *cpu, _ *op) next {
	if c.core.locked == c {
		c.core.locked = nil
	}
	return goOn
}

// moveUnits decodes MOV between any units.
func (d *decoder) moveUnits() bool {
	w := d.w
	to, from := unit(w.bits(5, 4)), unit(w.bits(10, 4))
	if w.has(0) || from == 15 { // KICK, DEFR, TTMOV, RTI, RTH
		return false
	}
	d.known = true
	d.cond = uint8(w.cond())
	d.op.d = d.result(to, w.rs1())
	if general(from, w.rd()) {
		d.op.a = slot(from, w.rd())
		return d.set(move)
	}
	if !d.known || from >= unitRD && from != unitTR {
		return false
	}
	// The register that is read takes the place of the one that is written.
	d.op.b, d.op.imm = uint16(from), w.rd()
	return d.set(moveSpecial)
}

func move(c *cpu, o *op) next {
	c.r[o.d] = c.r[o.a]
	return goOn
}

func moveSpecial(c *cpu, o *op) next {
	v, ok := c.read(unit(o.b), o.imm)
	if !ok {
		return stopped
	}
	c.r[o.d] = v
	return goOn
}

// swap decodes SWAP of two general registers, or of one with PC or PCX.
func (d *decoder) swap() bool {
	w := d.w
	to, from := unit(w.bits(5, 4)), unit(w.bits(10, 4))
	d.known = true
	d.cond = uint8(w.cond())
	d.op.a = d.reg(from, w.rd())
	if to == unitPC && w.rs1() == 0 {
		d.op.do, d.last = swapPC, true
		return d.known
	}
	if to == unitPC && w.rs1() == 1 {
		d.op.d = slot(unitPC, 1)
	} else {
		d.op.d = d.reg(to, w.rs1())
	}
	d.op.do = exchange
	return d.known
}

func exchange(c *cpu, o *op) next {
	c.r[o.d], c.r[o.a] = c.r[o.a], c.r[o.d]
	return goOn
}

func swapPC(c *cpu, o *op) next {
	c.pc, c.r[o.a] = c.r[o.a]&^3, o.pc+4
	return jumped
}

// moveControl decodes MOV and MOVT of a value to a control register.
func (d *decoder) moveControl() bool {
	w := d.w
	if w.has(2) { // of the trace unit
		return false
	}
	d.known = true
	d.op.imm = w.value16()
	d.op.d = d.result(unitCT, w.rd())
	return d.set(moveValue)
}

func moveValue(c *cpu, o *op) next {
	c.r[o.d] = o.imm
	return goOn
}

// branch decodes B, CALLR, CALL and JUMP.
func (d *decoder) branch(f format) {
	w := d.w
	d.known, d.last = true, true
	switch f {
	case branch:
		d.cond = uint8(w.cond())
		d.op.imm = d.pc + w.displacement()
		d.op.do = goTo
		if w.has(0) { // BR counts whatever the condition
			d.op.do, d.op.size, d.cond = repeat, d.cond, 0
		}
	case callr:
		d.op.d = d.reg(shortUnit(w.bits(3, 2)), w.bits(0, 3))
		d.op.imm = d.pc + w.displacement()
		d.op.do = call
	case jump:
		d.op.a = d.reg(shortUnit(w.bits(0, 2)), w.rd())
		d.op.imm = w.imm16()
		d.op.do = jumpTo
		if w.has(2) {
			d.op.do = callTo
		}
	}
}

func goTo(c *cpu, o *op) next {
	c.pc = o.imm
	return jumped
}

func repeat(c *cpu, o *op) next {
	left := &c.r[slot(unitCT, txRpt)]
	if *left == 0 {
		return goOn
	}
	*left--
	if truth[o.size]>>c.flags&1 == 0 {
		return goOn
	}
	c.pc = o.imm
	return jumped
}

func call(c *cpu, o *op) next {
	c.r[o.d] = o.pc + 4
	c.pc = o.imm
	return jumped
}

func jumpTo(c *cpu, o *op) next {
	c.pc = (c.r[o.a] + o.imm) &^ 3
	return jumped
}

func callTo(c *cpu, o *op) next {
	to := (c.r[o.a] + o.imm) &^ 3
	c.r[o.a] = o.pc + 4
	c.pc = to
	return jumped
}
