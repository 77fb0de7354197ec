package sparc

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds exits among the instructions of a function, of which it decodes
// the branches and those in the delay slots of returns.
type text struct{}

var _ arch.Disassembler = text{}

// Registers by number.
const (
	o0 = 8
	o7 = 15
	sp = 14
	fp = 30
	i0 = 24
	i7 = 31
)

// Bits 19 to 24 of instructions of format 3.
const (
	add     = 0x00
	or      = 0x02
	sub     = 0x04
	sra     = 0x27
	jmpl    = 0x38
	ret     = 0x39 // return
	restore = 0x3d
)

// Exits implements arch.Disassembler. A jump to a register is taken for a jump
// table. Returns from traps are not those of a function.
func (text) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if err := arch.Whole(addr, code, 4); err != nil {
		return nil, err
	}
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	for off := 0; off < len(code); off += 4 {
		at := addr + uint64(off)
		w := insn(binary.BigEndian.Uint32(code[off:]))
		slot, slotOK := insn(0), off+8 <= len(code)
		if slotOK {
			slot = insn(binary.BigEndian.Uint32(code[off+4:]))
		}
		var displacement int64
		switch {
		case w.isReturn():
			if !slotOK {
				return nil, fmt.Errorf("the return at %#x has no delay slot", at)
			}
			exit, err := w.leave(at, slot)
			if err != nil {
				return nil, err
			}
			exits = append(exits, exit)
			continue
		case w.op() == 1: // call
			// A tail call, if what is in its delay slot makes the return address
			// the caller's own.
			if !slotOK || !slot.is(restore) && slot.writes() != o7 {
				continue
			}
			displacement = int64(int32(w << 2))
		case w.op() == 0:
			switch w >> 22 & 7 {
			case 1, 5: // on integer conditions, on floating point's
				displacement = int64(int32(w<<13)>>13) * 4
			case 2, 6: // the same of SPARC V8
				displacement = int64(int32(w<<10)>>10) * 4
			case 3: // on a register
				displacement = int64(int16(w>>20&3<<14|w&0x3fff)) * 4
			default:
				continue
			}
		default:
			continue
		}
		if exit, ok := body.Jump(at, at+uint64(displacement)); ok {
			exits = append(exits, exit)
		}
	}
	return exits, nil
}

// insn is an instruction.
type insn uint32

func (w insn) op() uint32  { return uint32(w >> 30) }
func (w insn) op3() uint32 { return uint32(w >> 19 & 0x3f) }
func (w insn) rd() uint32  { return uint32(w >> 25 & 31) }
func (w insn) rs1() uint32 { return uint32(w >> 14 & 31) }

// is says whether it is that one of the operations on registers.
func (w insn) is(op3 uint32) bool { return w.op() == 2 && w.op3() == op3 }

// isReturn is for jumps to the return address, with a window and without.
func (w insn) isReturn() bool {
	return w.is(ret) || w.is(jmpl) && w.rd() == 0 && w&(1<<13) != 0 && (w.rs1() == i7 || w.rs1() == o7)
}

// leave returns the return that w at an address is, with an instruction in its
// delay slot.
func (w insn) leave(at uint64, slot insn) (arch.Exit, error) {
	exit := arch.Exit{Addr: at}
	restored := slot.is(restore)
	if w.is(ret) || restored {
		exit.SP, exit.Result = reg(fp), &arch.Sum{Register: reg(i0)}
	}
	to := slot.writes()
	if w.is(ret) && restored || w.is(jmpl) && !restored && w.rs1() == i7 {
		return exit, fmt.Errorf("the return at %#x restores no window, or two", at)
	}
	switch {
	case to == sp && !w.is(ret) && slot.is(add) && slot.rs1() == sp && slot&(1<<13) != 0:
		exit.Pop = uint64(slot.immediate())
	case to == sp:
		return exit, fmt.Errorf("the instruction %#08x behind the return at %#x makes the stack pointer", uint32(slot), at)
	case to == o0:
		var ok bool
		if exit.Result, ok = slot.sum(w.is(ret)); !ok {
			return exit, fmt.Errorf("the instruction %#08x behind the return at %#x makes the result", uint32(slot), at)
		}
	}
	return exit, nil
}

func (w insn) immediate() int64 { return int64(int32(w<<19) >> 19) }

// sum returns what an instruction makes, by the registers before a window was
// restored if one was; it is false for what is no sum of registers and a
// constant.
func (w insn) sum(restored bool) (*arch.Sum, bool) {
	if w.op() != 2 {
		return nil, false
	}
	s := &arch.Sum{}
	first, second := w.rs1(), uint32(0)
	if w&(1<<13) == 0 {
		second = uint32(w & 31)
	} else {
		s.Add = uint64(w.immediate())
	}
	zero := second == 0 && s.Add == 0
	switch op := w.op3(); {
	case op == add, op == restore:
	case op == or && first == second && s.Add == 0:
		second = 0
	case op == or && (first == 0 || zero), op == sub && zero:
	case op == sub && second == 0:
		s.Add = -s.Add
	case op == sra && w&(1<<12) == 0 && zero:
		s.Signed = 32
	default:
		return nil, false
	}
	if first == 0 {
		first, second = second, 0
	}
	for _, r := range []struct {
		n  uint32
		to *string
	}{{first, &s.Register}, {second, &s.With}} {
		switch {
		case r.n == 0:
		case !restored || r.n < o0:
			*r.to = reg(r.n)
		case r.n < 16:
			*r.to = reg(r.n + i0 - o0)
		default:
			return nil, false // of the caller's window, and not to be had yet
		}
	}
	return s, true
}

// writes returns the general register that an instruction without a jump may
// change, zero for none; that of the new window, if it restores one.
func (w insn) writes() uint32 {
	switch w.op() {
	case 0:
		if w>>22&7 != 4 { // sethi
			return 0
		}
	case 2:
		switch w.op3() {
		case 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x37, 0x3a, 0x3b, 0x3e: // special registers, floating point, traps
			return 0
		case 0x36: // VIS: but for edges, arrays and addresses
			if w>>5&0x1ff >= 0x20 {
				return 0
			}
		}
	case 3:
		switch op := w.op3() &^ 0x10; {
		case w.op3() >= 0x3c && w.op3() != 0x3d: // casa, casxa
		case op >= 0x20, op >= 4 && op <= 7, op == 0xe: // floating point; stores
			return 0
		}
	}
	return w.rd()
}
