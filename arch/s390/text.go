package s390

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds exits among z/Architecture instructions, of which it decodes
// those that branch. The first two bits give an instruction's length.
type text struct{}

var _ arch.Disassembler = text{}

// recent is how many instructions before a return the stack pointer is
// restored at most.
const recent = 4

// Exits implements arch.Disassembler. A branch to what another register than
// r14 holds is a return if the stack pointer was restored just before, and
// else taken for the jump table of a switch. Returns on a condition are
// refused: the condition code cannot be had when they are passed.
func (text) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	since := recent + 1 // instructions since the stack pointer was restored
	for off := 0; off < len(code); {
		in := code[off:]
		n := length(in[0])
		if len(in) < n {
			return nil, fmt.Errorf("the instruction at %#x is cut off", addr+uint64(off))
		}
		in = in[:n]
		at := addr + uint64(off)
		off += n
		since++
		if restoresSP(in) {
			since = 0
		}
		if in[0] == 0x07 { // bcr
			mask, reg := in[1]>>4, in[1]&15
			switch {
			case mask == 0 || reg == 0: // no branch
			case reg != 14 && since > recent:
			case mask != 15:
				return nil, fmt.Errorf("the return at %#x depends on the condition code", at)
			default:
				exits = append(exits, arch.Exit{Addr: at})
			}
			continue
		}
		disp, ok := branch(in)
		if !ok {
			continue
		}
		if exit, ok := body.Jump(at, at+uint64(disp)); ok {
			exits = append(exits, exit)
		}
	}
	return exits, nil
}

// length of an instruction by its first byte, in bytes.
func length(first byte) int {
	switch first >> 6 {
	case 0:
		return 2
	case 3:
		return 6
	}
	return 4
}

// branch returns the displacement in bytes of a relative branch that is no
// call and can be taken.
func branch(in []byte) (int64, bool) {
	short := func(at int) int64 { return 2 * int64(int16(binary.BigEndian.Uint16(in[at:]))) }
	switch {
	case in[0] == 0xa7 && in[1]&15 == 4 && in[1]>>4 != 0: // brc
		return short(2), true
	case in[0] == 0xa7 && (in[1]&15 == 6 || in[1]&15 == 7), // brct, brctg
		in[0] == 0x84, in[0] == 0x85: // brxh, brxle
		return short(2), true
	case in[0] == 0xc0 && in[1]&15 == 4 && in[1]>>4 != 0: // brcl
		return 2 * int64(int32(binary.BigEndian.Uint32(in[2:]))), true
	case in[0] == 0xec:
		switch in[5] {
		case 0x44, 0x45, // brxhg, brxlg
			0x64, 0x65, 0x76, 0x77, // cgrj, clgrj, crj, clrj
			0x7c, 0x7d, 0x7e, 0x7f: // cgij, clgij, cij, clij
			return short(2), true
		}
	}
	return 0, false
}

// restoresSP says whether an instruction loads or adds to r15, as the end of
// a function does: lmg, lg, la, lay, aghi, agfi.
func restoresSP(in []byte) bool {
	const sp = 15
	switch {
	case in[0] == 0xeb && in[5] == 0x04: // lmg r1,r3
		return in[1]&15 == sp
	case in[0] == 0xe3 && (in[5] == 0x04 || in[5] == 0x71): // lg, lay
		return in[1]>>4 == sp
	case in[0] == 0x41, // la
		in[0] == 0xa7 && in[1]&15 == 0xb, // aghi
		in[0] == 0xc2 && in[1]&15 == 0x8: // agfi
		return in[1]>>4 == sp
	}
	return false
}
