package arm

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/leakvisor/leakvisor/arch"
)

// text32 finds exits among the A32 instructions of a function (ARM DDI 0406C
// A5). As in text64, what is no branch goes to the next instruction. Kernels
// in Thumb code are refused.
type text32 struct{}

var _ arch.Disassembler = text32{}

// Exits implements arch.Disassembler. A load of the program counter from
// elsewhere than the stack is taken for the jump table of a switch.
func (text32) Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if addr%4 != 0 || len(code)%4 != 0 {
		return nil, fmt.Errorf("code of %d bytes at %#x is no A32 code", len(code), addr)
	}
	body := arch.NewBody(addr, code, thunks)
	var exits []arch.Exit
	for off := 0; off < len(code); off += 4 {
		at := addr + uint64(off)
		w := binary.LittleEndian.Uint32(code[off:])
		if w>>28 == 0xf {
			continue // no condition field: barriers, blx and others
		}
		pop, returns := return32(w)
		exit := arch.Exit{Addr: at, Pop: pop}
		if !returns {
			if w&0x0f00_0000 != 0x0a00_0000 { // b
				continue
			}
			target := uint64(uint32(at + 8 + uint64(int64(int32(w<<8)>>6))))
			if exit, returns = body.Jump(at, target); !returns {
				continue
			}
		}
		exit.If = condition32(w >> 28)
		exits = append(exits, exit)
	}
	return exits, nil
}

// return32 says whether an instruction, if its condition holds, returns, and
// how much it takes from the stack.
func return32(w uint32) (pop uint64, ok bool) {
	const rn, sp = 0x000f_0000, 0x000d_0000
	switch {
	case w&0x0fff_ffff == 0x012f_ff1e, // bx lr
		w&0x0fef_ffff == 0x01a0_f00e: // mov(s) pc, lr
		return 0, true
	case w&0x0e10_8000 == 0x0810_8000: // ldm with pc
		// ldmia sp!, as pop is; ldmia sp without writing back, as prologues
		// of APCS have it, loads sp itself.
		if w&rn == sp && w&0x01a0_0000 == 0x00a0_0000 {
			return 4 * uint64(bits.OnesCount16(uint16(w))), true
		}
	case w&0x0fff_f000 == 0x049d_f000: // ldr pc, [sp], #n
		return uint64(w & 0xfff), true
	}
	return 0, false
}

// condition32 returns when a condition field lets an instruction happen, nil
// for always. The truth table is over N, Z, C, V, the topmost bits of cpsr.
func condition32(cond uint32) *arch.Condition {
	if cond == 0xe {
		return nil
	}
	var taken uint16
	for flags := range uint32(16) {
		n, z, c, v := flags>>3&1 == 1, flags>>2&1 == 1, flags>>1&1 == 1, flags&1 == 1
		holds := [...]bool{z, c, n, v, c && !z, n == v, n == v && !z, true}[cond>>1]
		if holds != (cond&1 == 1) {
			taken |= 1 << flags
		}
	}
	return &arch.Condition{Register: "cpsr", Shift: 28, Taken: taken}
}
