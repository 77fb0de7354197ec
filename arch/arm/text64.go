package arm

import (
	"encoding/binary"

	"github.com/leakvisor/leakvisor/arch"
)

// text64 finds exits among the A64 instructions of a function. It decodes
// branches only (ARM DDI 0487 C4.1.94), which leaves nothing to be unknown:
// all others have the same length and go to the next instruction.
type text64 struct{}

var _ arch.Disassembler = text64{}

// Exits implements arch.Disassembler. Indirect branches (br) are taken for
// the jump table of a switch, which stays inside.
func (text64) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if err := arch.Whole(addr, code, 4); err != nil {
		return nil, err
	}
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	for off := 0; off < len(code); off += 4 {
		at := addr + uint64(off)
		// Instructions are little-endian whatever the data are.
		w := binary.LittleEndian.Uint32(code[off:])
		if isReturn64(w) {
			exits = append(exits, arch.Exit{Addr: at})
			continue
		}
		disp, ok := branch64(w)
		if !ok {
			continue
		}
		if exit, ok := body.Jump(at, at+uint64(disp)); ok {
			exits = append(exits, exit)
		}
	}
	return exits, nil
}

// isReturn64 knows ret, retaa, retab and eret.
func isReturn64(w uint32) bool {
	switch {
	case w&0xffff_fc1f == 0xd65f_0000, w == 0xd65f_0bff, w == 0xd65f_0fff, w == 0xd69f_03e0:
		return true
	}
	return false
}

// branch64 returns the displacement in bytes of a direct branch that is no
// call.
func branch64(w uint32) (int64, bool) {
	field := func(low, bits uint) int64 {
		return int64(int32(w<<(32-low-bits))>>(32-bits)) * 4
	}
	switch {
	case w&0xfc00_0000 == 0x1400_0000: // b
		return field(0, 26), true
	case w&0xff00_0000 == 0x5400_0000: // b.cond, bc.cond
		return field(5, 19), true
	case w&0x7e00_0000 == 0x3400_0000: // cbz, cbnz
		return field(5, 19), true
	case w&0x7e00_0000 == 0x3600_0000: // tbz, tbnz
		return field(5, 14), true
	}
	return 0, false
}
