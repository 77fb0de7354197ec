package tilegx

import "math/bits"

// Op is an instruction.
type Op uint16

func (o Op) String() string {
	if o == opNone || o >= opCount {
		return "<invalid>"
	}
	return names[o]
}

// Pipelines. A bundle has an instruction for X0 and X1, or for Y0, Y1 and Y2.
const (
	pipeX0 = iota
	pipeX1
	pipeY0
	pipeY1
	pipeY2
	pipeCount
)

// bundleSize is the size and alignment of a bundle in bytes.
const bundleSize = 8

// encoding says that the bits of mask make an instruction if they are match.
type encoding struct {
	op          Op
	mask, match uint64
	operands    []uint8 // indexes of operands
}

type operandKind uint8

const (
	register operandKind = iota
	immediate
	address // in bundles, from this one
	special // the number of a special register
)

// operand is where an operand is in a bundle: the bits of mask behind shift, and
// if there are two such fields the second one's in its place.
type operand struct {
	kind   operandKind
	bits   uint8 // of a signed number; zero for unsigned
	dst    bool
	src    bool
	shift  uint8
	mask   uint32
	shift2 uint8
	mask2  uint32
}

// operands are in the order of binutils' tilegx_operands.
var operands = [...]operand{
	{kind: immediate, bits: 8, shift: 12, mask: 0xff},                             // Imm8_X0
	{kind: immediate, bits: 8, shift: 43, mask: 0xff},                             // Imm8_X1
	{kind: immediate, bits: 8, shift: 12, mask: 0xff},                             // Imm8_Y0
	{kind: immediate, bits: 8, shift: 43, mask: 0xff},                             // Imm8_Y1
	{kind: immediate, bits: 16, shift: 12, mask: 0xffff},                          // Imm16_X0
	{kind: immediate, bits: 16, shift: 43, mask: 0xffff},                          // Imm16_X1
	{dst: true, shift: 31, mask: 0x3f},                                            // Dest_X1
	{src: true, shift: 37, mask: 0x3f},                                            // SrcA_X1
	{dst: true, shift: 0, mask: 0x3f},                                             // Dest_X0
	{src: true, shift: 6, mask: 0x3f},                                             // SrcA_X0
	{dst: true, shift: 0, mask: 0x3f},                                             // Dest_Y0
	{src: true, shift: 6, mask: 0x3f},                                             // SrcA_Y0
	{dst: true, shift: 31, mask: 0x3f},                                            // Dest_Y1
	{src: true, shift: 37, mask: 0x3f},                                            // SrcA_Y1
	{src: true, shift: 20, mask: 0x3f},                                            // SrcA_Y2
	{src: true, dst: true, shift: 37, mask: 0x3f},                                 // SrcA_X1, incremented
	{src: true, shift: 12, mask: 0x3f},                                            // SrcB_X0
	{src: true, shift: 43, mask: 0x3f},                                            // SrcB_X1
	{src: true, shift: 12, mask: 0x3f},                                            // SrcB_Y0
	{src: true, shift: 43, mask: 0x3f},                                            // SrcB_Y1
	{kind: address, bits: 17, shift: 31, mask: 0x3f, shift2: 37, mask2: 0x1_ffc0}, // BrOff_X1
	{kind: immediate, shift: 18, mask: 0x3f},                                      // BFStart_X0
	{kind: immediate, shift: 12, mask: 0x3f},                                      // BFEnd_X0
	{src: true, dst: true, shift: 0, mask: 0x3f},                                  // Dest_X0, read too
	{src: true, dst: true, shift: 0, mask: 0x3f},                                  // Dest_Y0, read too
	{kind: address, bits: 27, shift: 31, mask: 0x7ff_ffff},                        // JumpOff_X1
	{dst: true, shift: 51, mask: 0x3f},                                            // SrcBDest_Y2, of loads
	{kind: special, shift: 37, mask: 0x3fff},                                      // MF_Imm14_X1
	{kind: special, shift: 31, mask: 0x3f, shift2: 37, mask2: 0x3fc0},             // MT_Imm14_X1
	{kind: immediate, shift: 12, mask: 0x3f},                                      // ShAmt_X0
	{kind: immediate, shift: 43, mask: 0x3f},                                      // ShAmt_X1
	{kind: immediate, shift: 12, mask: 0x3f},                                      // ShAmt_Y0
	{kind: immediate, shift: 43, mask: 0x3f},                                      // ShAmt_Y1
	{src: true, shift: 51, mask: 0x3f},                                            // SrcBDest_Y2, of stores
	{kind: immediate, bits: 8, shift: 31, mask: 0x3f, shift2: 43, mask2: 0xc0},    // Dest_Imm8_X1
}

// value reads an operand: a register's number, or a number. Addresses are in
// bytes from the bundle.
func (o *operand) value(bundle uint64) int64 {
	v := uint32(bundle>>o.shift)&o.mask | uint32(bundle>>o.shift2)&o.mask2
	if o.bits == 0 {
		return int64(v)
	}
	n := int64(v) << (64 - o.bits) >> (64 - o.bits)
	if o.kind == address {
		n *= bundleSize
	}
	return n
}

// Inst is one instruction of a bundle.
type Inst struct {
	Op   Op
	Args [4]int64 // as operand.value has them
	enc  *encoding
}

// Decode returns the instructions of a bundle, in the order X0, X1 or Y0, Y1,
// Y2. Op is opNone for what is none.
func Decode(bundle uint64) []Inst {
	return appendDecoded(make([]Inst, 0, 3), bundle)
}

func appendDecoded(out []Inst, bundle uint64) []Inst {
	first, last := pipeX0, pipeX1
	if bundle>>62 != 0 {
		first, last = pipeY0, pipeY2
	}
	for p := first; p <= last; p++ {
		var in Inst
		for i := range encodings[p] {
			if e := &encodings[p][i]; bundle&e.mask == e.match {
				in.Op, in.enc = e.op, e
				for k, n := range e.operands {
					in.Args[k] = operands[n].value(bundle)
				}
				break
			}
		}
		out = append(out, in)
	}
	return out
}

// regs returns the registers that an instruction reads and writes, as bits.
func (i *Inst) regs() (read, written uint64) {
	if i.enc == nil {
		return 0, 0
	}
	for k, n := range i.enc.operands {
		o := &operands[n]
		bit := uint64(1) << uint(i.Args[k]&63)
		if o.src {
			read |= bit
		}
		if o.dst {
			written |= bit
		}
	}
	return read, written
}

// lowest is the number of the lowest bit of a set that is not empty.
func lowest(set uint64) int { return bits.TrailingZeros64(set) }
