package tile

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds exits among bundles, of which it decodes the instruction that can
// jump: in pipeline X1 or Y1. A bundle's other instructions take effect with
// the jump, so what they do to the stack pointer and the result belongs to the
// exit; an hv.Tracer that stops before it must not read them yet. Encodings are
// those of binutils' opcodes/tilegx-opc.c.
type text struct{}

var _ arch.Disassembler = text{}

// bundleSize is in bytes.
const bundleSize = 8

// lr is the register with the return address.
const lr = 55

// indirect are the jumps to a register, which has 6 bits from bit 37 on: jr and
// jrp in X1 and Y1.
var indirect = [...]struct{ mask, match uint64 }{
	{0xfffff80000000000, 0x286a700000000000},
	{0xfffff80000000000, 0x286a680000000000},
	{0x3c07f80000000000, 0x1c06680000000000},
	{0x3c07f80000000000, 0x1c06600000000000},
}

// Exits implements arch.Disassembler. A jump to what another register than lr
// holds is taken for the jump table of a switch.
func (text) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if addr%bundleSize != 0 || len(code)%bundleSize != 0 {
		return nil, fmt.Errorf("the code at %#x of %d bytes is not made of bundles", addr, len(code))
	}
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	for at := addr; len(code) > 0; at, code = at+bundleSize, code[bundleSize:] {
		bundle := binary.LittleEndian.Uint64(code)
		if disp, ok := displacement(bundle); ok {
			if exit, ok := body.Jump(at, at+uint64(disp)); ok {
				exits = append(exits, exit)
			}
		} else if register, ok := jumpRegister(bundle); ok && register == lr {
			exits = append(exits, arch.Exit{Addr: at})
		}
	}
	return exits, nil
}

// displacement returns how far a branch or jump goes that is no call, in bytes.
func displacement(bundle uint64) (int64, bool) {
	switch {
	case bundle>>59 == 2: // the branches
		v := bundle>>31&0x3f | bundle>>37&0x1_ffc0
		return int64(v) << (64 - 17) >> (64 - 17 - 3), true
	case bundle>>58 == 9: // j
		return int64(bundle>>31&0x7ff_ffff) << (64 - 27) >> (64 - 27 - 3), true
	}
	return 0, false
}

// jumpRegister returns the register whose value a bundle jumps to.
func jumpRegister(bundle uint64) (int, bool) {
	jumps := indirect[:2]
	if bundle>>62 != 0 {
		jumps = indirect[2:]
	}
	for _, j := range jumps {
		if bundle&j.mask == j.match {
			return int(bundle >> 37 & 0x3f), true
		}
	}
	return 0, false
}
