package ppc

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds exits among the Power instructions of a function in this byte
// order, of which it decodes the branches (Power ISA 3.0B, book I, 2.4).
type text struct{ order binary.ByteOrder }

var _ arch.Disassembler = text{}

// Exits implements arch.Disassembler. Branches to the count register are taken
// for jump tables. A return that also counts is refused: no compiler makes one.
func (t text) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if err := arch.Whole(addr, code, 4); err != nil {
		return nil, err
	}
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	for off := 0; off < len(code); off += 4 {
		at := addr + uint64(off)
		w := t.order.Uint32(code[off:])
		if w&1 != 0 {
			continue // a call, or no branch
		}
		var disp int64
		switch {
		case w&0xfc00_07fe == 0x4c00_0020: // bclr
			cond, err := condition(w)
			if err != nil {
				return nil, fmt.Errorf("the return at %#x: %w", at, err)
			}
			exits = append(exits, arch.Exit{Addr: at, If: cond})
			continue
		case w>>26 == 18 && w&2 == 0: // b
			disp = int64(int32(w<<6)>>6) &^ 3
		case w>>26 == 16 && w&2 == 0: // bc
			disp = int64(int16(w)) &^ 3
		default:
			continue
		}
		if exit, ok := body.Jump(at, at+uint64(disp)); ok {
			exits = append(exits, exit)
		}
	}
	return exits, nil
}

// condition returns when a bclr branches, nil for always.
func condition(w uint32) (*arch.Condition, error) {
	bo, bi := w>>21&31, w>>16&31
	if bo&4 == 0 {
		return nil, fmt.Errorf("it counts (BO %d)", bo)
	}
	if bo&16 != 0 {
		return nil, nil
	}
	taken := uint16(0xaaaa) // the lowest bit is set
	if bo&8 == 0 {
		taken = ^taken
	}
	return &arch.Condition{Register: "cr", Shift: uint(31 - bi), Taken: taken}, nil
}
