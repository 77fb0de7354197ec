package metag

import (
	"errors"

	"github.com/leakvisor/leakvisor/guestmem"
)

var errUnknown = errors.New("the guest has come to what is no code")

func guestAddress(pc uint32) guestmem.GVA { return guestmem.GVA(pc) }

// Ways of a load or store to come by its address.
const (
	plainAddress uint8 = iota // base + offset
	preUpdate                 // the same, kept in base
	postUpdate                // base, and the sum kept in base
)

// access is a load or store: of the slot d, and b for the upper half of 64
// bits, at base a.
type access struct {
	get   bool
	way   uint8
	index bool // the offset is the register number, not imm
}

// data fills in which registers are loaded or stored.
func (d *decoder) data(u unit, n uint32, size uint32) {
	d.op.size = uint8(size)
	d.op.d = d.reg(u, n)
	if size == 8 {
		d.op.b = d.reg(u.pair(), n)
	}
}

func (d *decoder) getSet() bool {
	w := d.w
	u, n, size := unit(w.bits(1, 4)), w.rd(), w.getSetSize()
	d.known = true
	a := access{get: w.major() == 0xc}
	if w.has(7) {
		a.way = preUpdate + uint8(w.bits(0, 1))
	}
	base := shortUnit(w.bits(5, 2))
	d.op.a = d.reg(base, w.rs1())
	if w.has(25) {
		d.op.imm = uint32(w.signed(8, 6) * int32(size))
	} else {
		a.index = true
		d.op.number = uint32(d.reg(base, w.rs2()))
	}
	if !general(u, n) {
		// Of the other units only a word at a time, and only to or from the
		// program counter and registers that are kept.
		if size != 4 || u >= unitRD && u != unitTR || a.index {
			return false
		}
		d.op.unit, d.op.size = u, 4
		d.op.d, d.op.b = scratch, uint16(n)
		d.last = u == unitPC
		d.op.do = setSpecial
		if a.get {
			d.op.do = getSpecial
		}
		d.op.cond, d.op.number = 0, uint32(a.way)
		return d.known
	}
	d.data(u, n, size)
	return d.memory(a)
}

func (d *decoder) getSetLong() bool {
	w := d.w
	if w.minor() == 6 { // to a port
		return false
	}
	d.known = true
	size := w.longSize()
	d.op.a = d.reg(shortUnit(w.bits(5, 2)), w.bits(0, 1))
	d.op.imm = uint32(w.signed(7, 12) * int32(size))
	d.data(shortUnit(w.bits(3, 2)), w.rd(), size)
	return d.memory(access{get: w.minor() == 7})
}

func (d *decoder) setIf() bool {
	w := d.w
	d.known = true
	d.op.cond = uint8(w.cond())
	d.op.a = d.reg(shortUnit(w.bits(5, 2)), w.rs1())
	d.data(unit(w.bits(10, 4)), w.rd(), w.setIfSize())
	return d.memory(access{})
}

// memory chooses the function.
func (d *decoder) memory(a access) bool {
	if !d.known {
		return false
	}
	switch {
	case a.index && a.get:
		d.op.do = [3]func(*cpu, *op) next{getIndexed, getIndexedPre, getIndexedPost}[a.way]
	case a.index:
		d.op.do = [3]func(*cpu, *op) next{setIndexed, setIndexedPre, setIndexedPost}[a.way]
	case a.get:
		d.op.do = [3]func(*cpu, *op) next{get, getPre, getPost}[a.way]
	default:
		d.op.do = [3]func(*cpu, *op) next{set, setPre, setPost}[a.way]
	}
	return true
}

// fetch loads what o names from an address, and afterwards makes the base what
// it is to be, if it is not what was loaded.
func (c *cpu) fetch(o *op, addr, base uint32) next {
	v, ok := c.load(addr, int(o.size))
	if !ok {
		return stopped
	}
	c.r[o.a] = base
	c.r[o.d] = uint32(v)
	if o.size == 8 {
		c.r[o.b] = uint32(v >> 32)
	}
	return goOn
}

func (c *cpu) put(o *op, addr, base uint32) next {
	v := uint64(c.r[o.d])
	if o.size == 8 {
		v |= uint64(c.r[o.b]) << 32
	}
	if !c.store(addr, int(o.size), v) {
		return stopped
	}
	c.r[o.a] = base
	return goOn
}

func get(c *cpu, o *op) next     { b := c.r[o.a]; return c.fetch(o, b+o.imm, b) }
func getPre(c *cpu, o *op) next  { b := c.r[o.a] + o.imm; return c.fetch(o, b, b) }
func getPost(c *cpu, o *op) next { b := c.r[o.a]; return c.fetch(o, b, b+o.imm) }
func set(c *cpu, o *op) next     { b := c.r[o.a]; return c.put(o, b+o.imm, b) }
func setPre(c *cpu, o *op) next  { b := c.r[o.a] + o.imm; return c.put(o, b, b) }
func setPost(c *cpu, o *op) next { b := c.r[o.a]; return c.put(o, b, b+o.imm) }

func getIndexed(c *cpu, o *op) next     { b := c.r[o.a]; return c.fetch(o, b+c.r[o.number], b) }
func getIndexedPre(c *cpu, o *op) next  { b := c.r[o.a] + c.r[o.number]; return c.fetch(o, b, b) }
func getIndexedPost(c *cpu, o *op) next { b := c.r[o.a]; return c.fetch(o, b, b+c.r[o.number]) }
func setIndexed(c *cpu, o *op) next     { b := c.r[o.a]; return c.put(o, b+c.r[o.number], b) }
func setIndexedPre(c *cpu, o *op) next  { b := c.r[o.a] + c.r[o.number]; return c.put(o, b, b) }
func setIndexedPost(c *cpu, o *op) next { b := c.r[o.a]; return c.put(o, b, b+c.r[o.number]) }

// special is the address of an access to another unit's register, and the base
// afterwards.
func (c *cpu) special(o *op) (addr, base uint32) {
	b := c.r[o.a]
	switch uint8(o.number) {
	case preUpdate:
		return b + o.imm, b + o.imm
	case postUpdate:
		return b, b + o.imm
	}
	return b + o.imm, b
}

func getSpecial(c *cpu, o *op) next {
	addr, base := c.special(o)
	v, ok := c.load(addr, 4)
	if !ok {
		return stopped
	}
	n := c.write(o.unit, uint32(o.b), uint32(v))
	if n != stopped {
		c.r[o.a] = base
	}
	return n
}

func setSpecial(c *cpu, o *op) next {
	addr, base := c.special(o)
	v, ok := c.read(o.unit, uint32(o.b))
	if !ok || !c.store(addr, 4, uint64(v)) {
		return stopped
	}
	c.r[o.a] = base
	return goOn
}

// getSetMany decodes MGET and MSET, which are the same as their single loads
// and stores in turn, but that a fault in between is not resumed from.
func (d *decoder) getSetMany() bool {
	w := d.w
	d.known = true
	d.op.size = uint8(4 << w.bits(24, 1))
	u := shortUnit(w.bits(3, 2))
	d.op.a = d.reg(shortUnit(w.bits(5, 2)), w.rs1())
	d.op.d = d.reg(u, w.rd())
	d.op.b = slot(u.pair(), w.rd())
	d.op.imm = w.bits(7, 7)<<1 | 1
	for i := range uint32(8) {
		if d.op.imm>>i&1 != 0 && !general(u, w.rd()+i) {
			return false
		}
	}
	d.op.do = setMany
	if w.major() == 0xc {
		d.op.do = getMany
	}
	return d.known
}

func getMany(c *cpu, o *op) next {
	addr := c.r[o.a]
	for i := range uint16(8) {
		if o.imm>>i&1 == 0 {
			continue
		}
		v, ok := c.load(addr, int(o.size))
		if !ok {
			return stopped
		}
		addr += uint32(o.size)
		c.r[o.d+i] = uint32(v)
		if o.size == 8 {
			c.r[o.b+i] = uint32(v >> 32)
		}
	}
	c.r[o.a] = addr
	return goOn
}

func setMany(c *cpu, o *op) next {
	addr := c.r[o.a]
	for i := range uint16(8) {
		if o.imm>>i&1 == 0 {
			continue
		}
		v := uint64(c.r[o.d+i])
		if o.size == 8 {
			v |= uint64(c.r[o.b+i]) << 32
		}
		if !c.store(addr, int(o.size), v) {
			return stopped
		}
		addr += uint32(o.size)
	}
	c.r[o.a] = addr
	return goOn
}
