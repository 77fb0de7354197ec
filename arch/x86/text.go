package x86

import (
	"fmt"

	"golang.org/x/arch/x86/x86asm"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds function exits by linear decoding with x86asm.
type text struct{ bits int }

var _ arch.Disassembler = text{}

// Exits implements arch.Disassembler. Jumps that stay inside the code are no
// exits; indirect jumps are taken for jump tables of a switch, which stay
// inside too (kernels with retpolines have none). An int3 or ud2 is padding
// or a BUG(), not an exit. Instructions that x86asm does not know but whose
// length is certain (endbr, ud1) are skipped.
func (t text) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	for off := 0; off < len(code); {
		if n := t.opaque(code[off:]); n > 0 {
			off += n
			continue
		}
		in, err := x86asm.Decode(code[off:], t.bits)
		if err != nil {
			return nil, fmt.Errorf("decoding the instruction at %#x (% x): %w", addr+uint64(off), code[off:min(off+15, len(code))], err)
		}
		at := addr + uint64(off)
		off += in.Len
		switch in.Op {
		case x86asm.RET, x86asm.LRET, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ:
			exits = append(exits, arch.Exit{Addr: at})
			continue
		case x86asm.CALL, x86asm.XBEGIN:
			continue
		}
		rel, ok := in.Args[0].(x86asm.Rel)
		if !ok {
			continue
		}
		target := at + uint64(in.Len) + uint64(int64(rel))
		if exit, ok := body.Jump(at, target); ok {
			exits = append(exits, exit)
		}
	}
	return exits, nil
}

// opaque returns the length of an instruction that the decoder lacks, zero
// for all others. Encodings: Intel SDM volume 2.
func (text) opaque(b []byte) int {
	switch {
	case len(b) >= 4 && b[0] == 0xf3 && b[1] == 0x0f && b[2] == 0x1e && (b[3] == 0xfa || b[3] == 0xfb):
		return 4 // endbr64, endbr32
	case len(b) >= 3 && b[0] == 0x0f && b[1] == 0x01 && (b[2] == 0xca || b[2] == 0xcb):
		return 3 // clac, stac
	case len(b) >= 1 && b[0] == 0xcc:
		return 1 // int3
	}
	return 0
}
