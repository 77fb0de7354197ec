package tilegx

import (
	"encoding/binary"

	"github.com/leakvisor/leakvisor/guestmem"
)

const (
	zeroReg = 63
	lrReg   = 55
	spReg   = 54
	// firstNetwork to zeroReg-1 are the networks' registers.
	firstNetwork = 56
	// temps are registers of ours, for values that a bundle overwrites before
	// it has read them.
	temps = 64
	// sink is a register of ours for results that nobody wants.
	sink = 255
)

// micro is what the interpreter executes: one instruction with the bundle's
// semantics worked in, so that one follows the other.
type micro struct {
	op      Op
	d, a, b uint8
	inc     uint8 // where the incremented address goes
	bundle  uint8 // number within the block
	imm     int64 // absolute, for an address
}

// opEnd goes on at imm, behind a block.
const opEnd = opCount

// block is straight code.
type block struct {
	pc      uint64
	stop    bool // a break is at its start
	bundles int
	micros  []micro
}

// maxBundles bounds a block.
const maxBundles = 64

// translate decodes the code at pc.
func (c *CPU) translate(pc uint64) (*block, error) {
	b := &block{pc: pc, stop: c.breaks.Has(pc)}
	if pc%bundleSize != 0 {
		return nil, &guestmem.AddressError{Addr: pc, Reason: "a jump to where no bundle can be"}
	}
	gpa, err := c.tlb.Physical(guestmem.GVA(pc))
	if err != nil {
		return nil, err
	}
	const page = 1 << 12
	code, err := c.tlb.View(guestmem.GVA(pc), page-int(pc%page))
	if err != nil {
		return nil, err
	}
	if len(code) < bundleSize {
		return nil, &guestmem.AddressError{Addr: pc, Reason: "a bundle is not all in memory"}
	}
	c.bus.MarkCode(gpa)
	var insts [3]Inst
	for ; len(code) >= bundleSize && b.bundles < maxBundles; code = code[bundleSize:] {
		at := pc + uint64(b.bundles)*bundleSize
		if b.bundles > 0 && c.breaks.Has(at) {
			break
		}
		decoded := appendDecoded(insts[:0], binary.LittleEndian.Uint64(code))
		if len(decoded) == 3 { // Y1 jumps, so it comes last
			decoded[1], decoded[2] = decoded[2], decoded[1]
		}
		ends := b.add(decoded, at)
		b.bundles++
		if ends {
			break
		}
	}
	b.micros = append(b.micros, micro{op: opEnd, bundle: uint8(b.bundles - 1), imm: int64(pc + uint64(b.bundles)*bundleSize)})
	return b, nil
}

// add appends a bundle's instructions. It says whether the block ends there.
func (b *block) add(insts []Inst, pc uint64) (ends bool) {
	first := len(b.micros)
	var moved [64]uint8 // where a register's old value is
	next := uint8(temps)
	written := uint64(0)
	for i := range insts {
		in := &insts[i]
		read, writes := in.regs()
		for set := read & written &^ (1 << zeroReg); set != 0; set &= set - 1 {
			r := lowest(set)
			if moved[r] == 0 {
				moved[r] = next
				b.micros = append(b.micros, micro{})
				copy(b.micros[first+1:], b.micros[first:])
				b.micros[first] = micro{op: opMove, d: next, a: uint8(r), bundle: uint8(b.bundles)}
				next++
			}
		}
		m := newMicro(in, pc)
		m.bundle = uint8(b.bundles)
		for _, source := range [...]*uint8{&m.a, &m.b} {
			if r := *source; r < zeroReg && written>>r&1 != 0 {
				*source = moved[r]
			}
		}
		if (read|writes)>>firstNetwork&(1<<(zeroReg-firstNetwork)-1) != 0 {
			m.op = opNone
		}
		written |= writes
		if in.Op == opNop || in.Op == opFnop {
			continue
		}
		b.micros = append(b.micros, m)
		ends = ends || m.op == opNone || endsBlock[in.Op]
	}
	return ends
}

// newMicro sorts an instruction's operands.
func newMicro(in *Inst, pc uint64) micro {
	m := micro{op: in.Op, d: sink, a: zeroReg, b: zeroReg, inc: sink}
	if in.enc == nil {
		return m
	}
	sources := [...]*uint8{&m.a, &m.b}
	n, numbers := 0, 0
	for k, index := range in.enc.operands {
		o, v := &operands[index], in.Args[k]
		switch {
		case o.kind == address:
			m.imm = int64(pc) + v
		case o.kind != register:
			m.imm |= v << (8 * numbers) // the second one of a bit field
			numbers++
		case o.src && index != destX0Read && index != destY0Read:
			*sources[n] = uint8(v)
			n++
			if o.dst && v != zeroReg {
				m.inc = uint8(v)
			}
		default:
			if m.d = uint8(v); v == zeroReg {
				m.d = sink
			}
			if v == zeroReg && o.src {
				m.op = opNop // it would read what is always zero, and change nothing
			}
		}
	}
	return m
}

// Indexes of operands that are results which are read too.
const (
	destX0Read = 23
	destY0Read = 24
)

// endsBlock are the instructions behind which the next is not the one that
// follows, or not as it was decoded.
var endsBlock = [opCount]bool{
	opBeqz: true, opBeqzt: true, opBgez: true, opBgezt: true, opBgtz: true, opBgtzt: true,
	opBlbc: true, opBlbct: true, opBlbs: true, opBlbst: true, opBlez: true, opBlezt: true,
	opBltz: true, opBltzt: true, opBnez: true, opBnezt: true,
	opJ: true, opJal: true, opJalr: true, opJalrp: true, opJr: true, opJrp: true,
	opSwint0: true, opSwint1: true, opSwint2: true, opSwint3: true, opIret: true,
	opNap: true, opIcoh: true, opIll: true, opBpt: true, opRaise: true, opMtspr: true,
}
