package mips

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds exits and frames among the instructions of a function up to
// revision 5, of which it decodes those that branch and the ones in their
// delay slots. microMIPS and MIPS16, at odd addresses, are refused.
type text struct{ order binary.ByteOrder }

var (
	_ arch.Disassembler = text{}
	_ arch.Framer       = text{}
)

// Registers by number.
const (
	v0 = 2
	sp = 29
	ra = 31
)

// Exits implements arch.Disassembler. A jump to another register than ra is
// taken for the jump table of a switch.
func (t text) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if err := arch.Whole(addr, code, 4); err != nil {
		return nil, err
	}
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	for off := 0; off < len(code); off += 4 {
		at := addr + uint64(off)
		w := t.order.Uint32(code[off:])
		if rs, ok := jumpRegister(w); ok {
			if rs != ra {
				continue
			}
			if off+8 > len(code) {
				return nil, fmt.Errorf("the return at %#x has no delay slot", at)
			}
			exit, err := slot(at, t.order.Uint32(code[off+4:]))
			if err != nil {
				return nil, err
			}
			exits = append(exits, exit)
			continue
		}
		target, ok := jump(at, w)
		if !ok {
			continue
		}
		if exit, ok := body.Jump(at, target); ok {
			exits = append(exits, exit)
		}
	}
	return exits, nil
}

// jumpRegister returns the register that an instruction jumps to.
func jumpRegister(w uint32) (rs uint32, ok bool) {
	const jr, jalr = 8, 9
	rd := w >> 11 & 31
	ok = w>>26 == 0 && (w&63 == jr || w&63 == jalr && rd == 0)
	return w >> 21 & 31, ok
}

// jump returns the target of a direct jump or branch that is no call.
func jump(at uint64, w uint32) (target uint64, ok bool) {
	branch := at + 4 + uint64(int64(int16(w))<<2)
	switch op := w >> 26; op {
	case 1: // bltz, bgez, bltzl, bgezl
		return branch, w>>16&31 < 4
	case 2: // j
		return (at+4)&^0x0fff_ffff | uint64(w&0x03ff_ffff)<<2, true
	case 4, 5, 6, 7, 20, 21, 22, 23: // beq, bne, blez, bgtz, and those that are likely
		return branch, true
	}
	return 0, false
}

// slot returns the return at an address with the instruction w in its delay
// slot.
func slot(at uint64, w uint32) (arch.Exit, error) {
	exit := arch.Exit{Addr: at}
	op, rs, rt, imm := w>>26, w>>21&31, w>>16&31, uint64(int64(int16(w)))
	const addiu, ori, lui, daddiu = 9, 13, 15, 25
	adds := op == addiu || op == daddiu
	switch to := writes(w); {
	case to == sp && adds && rs == sp:
		exit.Pop = imm
	case to == v0 && adds:
		exit.Result = sum(rs, imm)
	case to == v0 && op == ori && rs == 0:
		exit.Result = sum(0, imm&0xffff)
	case to == v0 && op == lui:
		exit.Result = sum(0, imm<<16)
	case to == v0 && isMove(w):
		exit.Result = sum(rs|rt, 0)
	case to == v0 || to == sp:
		return exit, fmt.Errorf("the instruction %#08x behind the return at %#x makes the result or the stack pointer", w, at)
	}
	return exit, nil
}

func sum(reg uint32, add uint64) *arch.Sum {
	if reg == 0 {
		return &arch.Sum{Add: add}
	}
	return &arch.Sum{Register: gpr(reg), Add: add}
}

// isMove says whether an instruction copies a register: or, addu or daddu with
// zero.
func isMove(w uint32) bool {
	const or, addu, daddu = 0x25, 0x21, 0x2d
	f := w & 63
	return w>>26 == 0 && (f == or || f == addu || f == daddu) && (w>>21&31 == 0 || w>>16&31 == 0)
}

// writes returns the general register that an instruction without a jump
// changes, zero for none.
func writes(w uint32) uint32 {
	rt, rd := w>>16&31, w>>11&31
	switch op := w >> 26; {
	case op == 0: // of these, multiplications and traps have a zero for rd
		return rd
	case op == 28: // SPECIAL2: mul, clz, clo
		return rd
	case op == 31: // SPECIAL3
		if f := w & 63; f == 0x20 || f == 0x24 { // seb, seh, wsbh, dsbh, dshd
			return rd
		}
		return rt // ext, ins, rdhwr
	case op >= 8 && op <= 15, op >= 24 && op <= 27, // immediates, ldl, ldr
		op >= 32 && op <= 39, op == 48, op == 52, op == 55, // loads
		op == 56, op == 60: // sc, scd
		return rt
	case op == 16 || op == 17 || op == 18: // mfc0, mfc1, mfc2 and their like
		if w>>21&31 < 4 {
			return rt
		}
	}
	return 0
}

// Frame implements arch.Framer, as Linux's unwind_stack_by_address does
// (arch/mips/kernel/process.c): a function takes its frame once, and keeps the
// return address in it before it calls anything. What _mcount, as o32 has it,
// is given on the stack by the delay slot of its call, it takes itself.
func (t text) Frame(code []byte) (size, ret uint64, ok bool) {
	const addiu, daddiu, sw, sd, jal, jalr = 9, 25, 43, 63, 3, 9
	for ; len(code) >= 4; code = code[4:] {
		w := t.order.Uint32(code)
		if (w>>26 == jal || w&0xfc00_003f == jalr) && len(code) >= 8 {
			code = code[4:]
			continue
		}
		op, rs, rt, imm := w>>26, w>>21&31, w>>16&31, int64(int16(w))
		switch {
		case rs != sp:
		case (op == addiu || op == daddiu) && rt == sp && imm < 0:
			size, ok = uint64(-imm), false
		case !ok && (op == sw || op == sd) && rt == ra && imm >= 0: // later ones are of variables
			ret, ok = uint64(imm), true
		}
	}
	return size, ret, ok && ret < size
}
