package metag

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds exits among Meta instructions, of which it decodes those that
// change the program counter. There are no delay slots.
type text struct{}

var _ arch.Disassembler = text{}

// Units in instructions.
const (
	unitD1 = 2
	unitA0 = 3
	unitPC = 5
)

const linkNumber = 4 // D1RtP is D1.4

// movt is what an instruction gave a register, and where.
type movt struct {
	value uint32
	off   int
}

// recent is how far before a JUMP its MOVT is, in bytes at most.
const recent = 16

// Exits implements arch.Disassembler. A jump by another register than D1RtP is
// a tail call where the instructions before say where to, and else taken for
// the jump table of a switch. A branch that leaves and counts is refused: what
// it counts cannot be had when it is passed.
func (text) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if err := arch.Whole(addr, code, 4); err != nil {
		return nil, err
	}
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	high := map[uint32]movt{} // by unit and number of the register
	for off := 0; off < len(code); off += 4 {
		at := addr + uint64(off)
		w := binary.LittleEndian.Uint32(code[off:])
		switch {
		case w>>24 == 0xa0: // B
			cond := w >> 1 & 15
			if cond == 15 { // NOP
				continue
			}
			target := uint32(at) + uint32(int32(w<<8)>>13<<2)
			exit, ok := body.Jump(at, uint64(target))
			if !ok {
				continue
			}
			if w&1 != 0 {
				return nil, fmt.Errorf("the branch at %#x leaves the function and counts", at)
			}
			exit.If = condition(cond)
			exits = append(exits, exit)
		case w&0xff00_0200 == 0xa300_0000 && w&1 == 0 && w>>5&15 == unitPC && w>>14&31 == 0: // MOV PC
			cond := w >> 1 & 15
			if cond != 15 && w>>10&15 == unitD1 && w>>19&31 == linkNumber {
				exits = append(exits, arch.Exit{Addr: at, If: condition(cond)})
			}
		case w>>24 == 0xac && w&4 == 0: // JUMP
			reg := w&3<<5 | w>>19&31
			set, known := high[reg]
			if known && off-set.off <= recent {
				if exit, ok := body.Jump(at, uint64(set.value+w>>3&0xffff)); ok {
					exits = append(exits, exit)
				}
			} else if reg == unitD1<<5|linkNumber && w>>3&0xffff == 0 {
				exits = append(exits, arch.Exit{Addr: at})
			}
		case w&0xfd00_0000 == 0xc400_0000 && w>>1&15 == unitPC && w>>19&31 == 0: // GETD PC
			pop, ok := popped(w)
			if ok {
				exits = append(exits, arch.Exit{Addr: at, Pop: pop})
			}
		}
		if w&0xf600_0007 == 0x0200_0005 || w&0xfe00_0005 == 0x8200_0005 { // MOVT
			high[movtRegister(w)] = movt{w >> 3 & 0xffff << 16, off}
		}
	}
	return exits, nil
}

// movtRegister is what a MOVT of a data or address unit sets, as a JUMP names
// it.
func movtRegister(w uint32) uint32 {
	unit := 1 + w>>24&1
	if w>>28 == 8 {
		unit = unitA0 + w>>24&1
	}
	return unit&3<<5 | w>>19&31
}

// popped is what a load of the program counter from the stack adds to A0StP.
func popped(w uint32) (uint64, bool) {
	const update, immediate = 1 << 7, 1 << 25
	if w&update == 0 || w&immediate == 0 || w>>5&3 != unitA0 || w>>14&31 != 0 {
		return 0, false
	}
	return uint64(int64(int32(w<<18)>>26) * 4), true
}

// condition returns when a condition code holds, nil for always. The truth
// table is over Z, N, V, C, the lowest bits of TXSTATUS.
func condition(code uint32) *arch.Condition {
	if code == 0 {
		return nil
	}
	var taken uint16
	for flags := range uint32(16) {
		z, n, v, c := flags>>3&1 == 1, flags>>2&1 == 1, flags>>1&1 == 1, flags&1 == 1
		holds := [...]bool{z, c, n, v, !c && !z, n == v, n == v && !z}[(code-1)>>1]
		if holds != (code&1 == 0) {
			taken |= 1 << flags
		}
	}
	return &arch.Condition{Register: "TXSTATUS", Taken: taken}
}
