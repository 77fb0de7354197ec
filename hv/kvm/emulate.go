package kvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/arch/x86/x86asm"
)

// cpuState is what displaced instructions work on, in x86's own register
// order: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
type cpuState interface {
	reg(n int) uint64
	setReg(n int, v uint64)
	flags() uint64
	setFlags(v uint64)
	// word reads and setWord writes 8 bytes of the stack.
	word(addr uint64) (uint64, error)
	setWord(addr, v uint64) error
}

const (
	regSP = 4

	flagCF = 1 << 0
	flagPF = 1 << 2
	flagAF = 1 << 4
	flagZF = 1 << 6
	flagSF = 1 << 7
	flagOF = 1 << 11

	arithmeticFlags = flagCF | flagPF | flagAF | flagZF | flagSF | flagOF
)

// opKind is what a displaced instruction does.
type opKind uint8

const (
	opNop opKind = iota
	opJump
	opJumpIf
	opReturn
	opPush
	opMove      // register to register
	opLoadConst // imm to register
	opLea       // base + imm to register
	opAdd       // register += imm, with flags
	opSub
	opAnd // register &= register, with flags; dst < 0: flags only (test)
	opClear
)

// op is one displaced instruction, decoded.
type op struct {
	kind     opKind
	len      int
	dst, src int
	wide     bool // 64-bit operands, else 32-bit ones, zero-extended
	imm      uint64
	cond     uint8
}

// errStep says that an instruction is none that the tracer performs itself.
var errStep = errors.New("the instruction must be stepped")

// decodeOp decodes the instruction at the start of code. Few kinds are
// performed: what stands at the start of a function and what leaves it. Others
// give errStep with op.len set, or another error where even the length is
// unknown.
func decodeOp(code []byte) (op, error) {
	if len(code) >= 4 && code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3] == 0xfa {
		return op{kind: opNop, len: 4}, nil // endbr64, unknown to the decoder
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil {
		return op{}, fmt.Errorf("decoding the instruction % x: %w", code[:min(len(code), 15)], err)
	}
	o := op{len: in.Len}
	for _, p := range in.Prefix {
		// Operand size, segment, lock and the like; REX is in the arguments.
		if p != 0 && !p.IsREX() && in.Op != x86asm.NOP {
			return o, errStep
		}
	}
	dst, dstWide, dstOK := register(in.Args[0])
	src, srcWide, srcOK := register(in.Args[1])
	imm, immOK := in.Args[1].(x86asm.Imm)
	same := dstOK && srcOK && dstWide == srcWide
	o.dst, o.src, o.wide, o.imm = dst, src, dstWide, uint64(int64(imm))
	switch in.Op {
	case x86asm.NOP:
		o.kind = opNop
		return o, nil
	case x86asm.RET:
		if in.Args[0] == nil {
			o.kind = opReturn
			return o, nil
		}
	case x86asm.JMP:
		if rel, ok := in.Args[0].(x86asm.Rel); ok {
			o.kind, o.imm = opJump, uint64(int64(rel))
			return o, nil
		}
	case x86asm.PUSH:
		if dstOK && dstWide {
			o.kind, o.src = opPush, dst
			return o, nil
		}
	case x86asm.MOV:
		switch {
		case same:
			o.kind = opMove
			return o, nil
		case dstOK && immOK:
			o.kind = opLoadConst
			return o, nil
		}
	case x86asm.XOR:
		if same && dst == src {
			o.kind = opClear
			return o, nil
		}
	case x86asm.TEST:
		if same {
			o.kind, o.imm, o.dst = opAnd, uint64(dst), -1
			return o, nil
		}
	case x86asm.ADD, x86asm.SUB:
		if dstOK && immOK && dstWide {
			o.kind = opAdd
			if in.Op == x86asm.SUB {
				o.kind = opSub
			}
			return o, nil
		}
	case x86asm.LEA:
		if m, ok := in.Args[1].(x86asm.Mem); ok && dstOK && dstWide && m.Index == 0 && m.Segment == 0 {
			if base, wide, ok := register(m.Base); ok && wide {
				o.kind, o.src, o.imm = opLea, base, uint64(m.Disp)
				return o, nil
			}
		}
	default:
		if c, ok := condition(code, in); ok {
			o.kind, o.cond, o.imm = opJumpIf, c, uint64(int64(in.Args[0].(x86asm.Rel)))
			return o, nil
		}
	}
	return o, errStep
}

// condition returns the condition code of a conditional jump (Intel SDM
// volume 2, appendix B.1.4).
func condition(code []byte, in x86asm.Inst) (uint8, bool) {
	if _, ok := in.Args[0].(x86asm.Rel); !ok || in.Len < 2 {
		return 0, false
	}
	switch {
	case code[0]&0xf0 == 0x70:
		return code[0] & 0xf, true
	case code[0] == 0x0f && code[1]&0xf0 == 0x80:
		return code[1] & 0xf, true
	}
	return 0, false
}

// register returns the number of a 64- or 32-bit general register.
func register(a x86asm.Arg) (n int, wide, ok bool) {
	r, isReg := a.(x86asm.Reg)
	switch {
	case !isReg:
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true, true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), false, true
	}
	return 0, false, false
}

// leaves says whether o, in state c, is a jump or return that is taken.
func (o *op) leaves(c cpuState) bool {
	switch o.kind {
	case opJump, opReturn:
		return true
	case opJumpIf:
		return holds(o.cond, c.flags())
	}
	return false
}

// perform does what the instruction at addr does and returns the address of
// the next one. On error nothing was changed.
func (o *op) perform(c cpuState, addr uint64) (uint64, error) {
	next := addr + uint64(o.len)
	cut := func(v uint64) uint64 {
		if o.wide {
			return v
		}
		return v & 0xffffffff
	}
	switch o.kind {
	case opNop:
	case opJump:
		return next + o.imm, nil
	case opJumpIf:
		if o.leaves(c) {
			return next + o.imm, nil
		}
	case opReturn:
		ret, err := c.word(c.reg(regSP))
		if err != nil {
			return 0, err
		}
		c.setReg(regSP, c.reg(regSP)+8)
		return ret, nil
	case opPush:
		v, sp := c.reg(o.src), c.reg(regSP)-8
		if err := c.setWord(sp, v); err != nil {
			return 0, err
		}
		c.setReg(regSP, sp)
	case opMove:
		c.setReg(o.dst, cut(c.reg(o.src)))
	case opLoadConst:
		c.setReg(o.dst, cut(o.imm))
	case opLea:
		c.setReg(o.dst, c.reg(o.src)+o.imm)
	case opClear:
		c.setReg(o.dst, 0)
		c.setFlags(c.flags()&^uint64(arithmeticFlags) | result(0, true))
	case opAnd:
		c.setFlags(c.flags()&^uint64(arithmeticFlags) | result(cut(c.reg(o.src)&c.reg(int(o.imm))), o.wide))
	case opAdd, opSub:
		a := c.reg(o.dst)
		sum, carry := bits.Add64(a, o.imm, 0)
		over := ^(a ^ o.imm) & (a ^ sum)
		if o.kind == opSub {
			sum, carry = bits.Sub64(a, o.imm, 0)
			over = (a ^ o.imm) & (a ^ sum)
		}
		f := result(sum, true) | carry*flagCF | over>>63*flagOF
		if (a^o.imm^sum)&0x10 != 0 {
			f |= flagAF
		}
		c.setReg(o.dst, sum)
		c.setFlags(c.flags()&^uint64(arithmeticFlags) | f)
	}
	return next, nil
}

// result returns the flags that a result sets: zero, sign and parity.
func result(v uint64, wide bool) (f uint64) {
	if v == 0 {
		f |= flagZF
	}
	if sign := v >> 63; wide && sign != 0 || !wide && v>>31&1 != 0 {
		f |= flagSF
	}
	if bits.OnesCount8(uint8(v))%2 == 0 {
		f |= flagPF
	}
	return f
}

// holds says whether condition code cc is true with these flags.
func holds(cc uint8, f uint64) bool {
	is := func(bit uint64) bool { return f&bit != 0 }
	var v bool
	switch cc >> 1 {
	case 0:
		v = is(flagOF)
	case 1:
		v = is(flagCF)
	case 2:
		v = is(flagZF)
	case 3:
		v = is(flagCF) || is(flagZF)
	case 4:
		v = is(flagSF)
	case 5:
		v = is(flagPF)
	case 6:
		v = is(flagSF) != is(flagOF)
	case 7:
		v = is(flagZF) || is(flagSF) != is(flagOF)
	}
	return v != (cc&1 != 0)
}

// isNop5 says whether code starts with a nop of five bytes, as the kernel
// puts it where function tracing may enter.
func isNop5(code []byte) bool {
	o, err := decodeOp(code)
	return err == nil && o.kind == opNop && o.len == 5
}

// isCall says whether code starts with a direct call, five bytes.
func isCall(code []byte) bool { return len(code) >= 5 && code[0] == 0xe8 }

func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
