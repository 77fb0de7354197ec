package microblaze

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds exits and frames among the instructions of a function, of which
// it decodes the branches and those in the delay slots of returns.
type text struct{ order binary.ByteOrder }

var (
	_ arch.Disassembler = text{}
	_ arch.Framer       = text{}
)

// Registers by number.
const (
	result = 3
	sp     = 1
	link   = 15
)

// Opcodes: the upper six bits.
const (
	addk  = 0x04
	addik = 0x0c
	or    = 0x20
	immed = 0x2c // the upper half of the next instruction's immediate
	rtd   = 0x2d // rtsd, and returns from interrupts and breaks
	bri   = 0x2e
	bci   = 0x2f // beqi and its like
	swi   = 0x3e
)

// Bits of an unconditional branch, in the place of its first source register.
const (
	absolute = 0x08
	linked   = 0x04 // a call
)

// Exits implements arch.Disassembler. A branch to a register is taken for a
// jump table. Returns from interrupts and exceptions are not those of a
// function.
func (t text) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if err := arch.Whole(addr, code, 4); err != nil {
		return nil, err
	}
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	var upper uint32
	extended := false
	for off := 0; off < len(code); off += 4 {
		at := addr + uint64(off)
		w := t.order.Uint32(code[off:])
		imm := uint32(int32(int16(w)))
		if extended {
			imm = upper<<16 | w&0xffff
		}
		upper, extended = w&0xffff, w>>26 == immed
		rd, ra := w>>21&31, w>>16&31
		var target uint32
		switch op := w >> 26; {
		case op == rtd && rd == 0x10: // rtsd
			if off+8 > len(code) {
				return nil, fmt.Errorf("the return at %#x has no delay slot", at)
			}
			exit, err := slot(at, t.order.Uint32(code[off+4:]))
			if err != nil {
				return nil, err
			}
			exits = append(exits, exit)
			continue
		case op == bri && ra&linked == 0 && ra&absolute != 0:
			target = imm
		case op == bri && ra&linked == 0, op == bci:
			target = uint32(at) + imm
		default:
			continue
		}
		if exit, ok := body.Jump(at, uint64(target)); ok {
			exits = append(exits, exit)
		}
	}
	return exits, nil
}

// slot returns the return at an address with the instruction w in its delay
// slot, which has no upper half.
func slot(at uint64, w uint32) (arch.Exit, error) {
	exit := arch.Exit{Addr: at}
	op, ra, rb, imm := w>>26, w>>16&31, w>>11&31, uint64(int64(int16(w)))
	switch to := writes(w); {
	case to == sp && op == addik && ra == sp:
		exit.Pop = imm
	case to == result && op == addik:
		exit.Result = sum(ra, imm)
	case to == result && (op == addk || op == or && w&0x7ff == 0) && (ra == 0 || rb == 0):
		exit.Result = sum(ra|rb, 0)
	case to == result || to == sp:
		return exit, fmt.Errorf("the instruction %#08x behind the return at %#x makes the result or the stack pointer", w, at)
	}
	return exit, nil
}

func sum(r uint32, add uint64) *arch.Sum {
	if r == 0 {
		return &arch.Sum{Add: add}
	}
	return &arch.Sum{Register: reg(r), Add: add}
}

// writes returns the general register that an instruction without a jump may
// change, zero for none.
func writes(w uint32) uint32 {
	switch op := w >> 26; {
	case op >= 0x34 && op <= 0x37, op >= 0x3c: // stores
		return 0
	case op == immed:
		return 0
	}
	return w >> 21 & 31
}

// Frame implements arch.Framer, as arch/microblaze/kernel/unwind.c does: a
// function takes its frame once, and keeps the link register in it before it
// calls anything.
func (t text) Frame(code []byte) (size, ret uint64, ok bool) {
	for ; len(code) >= 4; code = code[4:] {
		w := t.order.Uint32(code)
		op, rd, ra, imm := w>>26, w>>21&31, w>>16&31, int64(int16(w))
		switch {
		case ra != sp:
		case op == addik && rd == sp && imm < 0:
			size, ok = uint64(-imm), false
		case op == swi && rd == link && imm >= 0:
			ret, ok = uint64(imm), true
		}
	}
	return size, ret, ok && ret < size
}
