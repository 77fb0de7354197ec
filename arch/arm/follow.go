package arm

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

var (
	_ arch.Follower = text64{}
	_ arch.Follower = text32{}
)

// held is a set of general registers.
type held uint32

// follow goes through code, instructions of 4 bytes, while step knows what
// each does to the set.
func follow(code []byte, from, prefix string, registers int, step func(w uint32, h held) (held, bool)) []arch.Held {
	var h held
	for k := range registers {
		if fmt.Sprint(prefix, k) == from {
			h = 1 << k
		}
	}
	if h == 0 {
		return nil
	}
	out := []arch.Held{{Registers: []string{from}}}
	for off := 4; off <= len(code) && h != 0; off += 4 {
		var ok bool
		if h, ok = step(binary.LittleEndian.Uint32(code[off-4:]), h); !ok {
			break
		}
		var names []string
		for k := range registers {
			if h>>k&1 == 1 {
				names = append(names, fmt.Sprint(prefix, k))
			}
		}
		out = append(out, arch.Held{Offset: off, Registers: names})
	}
	return out
}

// Follow implements arch.Follower (ARM DDI 0487 C4.1). Of an instruction that
// may write a register the value is taken to be gone from it.
func (text64) Follow(code []byte, from string) []arch.Held {
	return follow(code, from, "x", 31, func(w uint32, h held) (held, bool) {
		rd, rn, rt2, rm := w&31, w>>5&31, w>>10&31, w>>16&31
		switch group := w >> 25 & 0xf; {
		case w&0xffe0_ffe0 == 0xaa00_03e0: // mov rd, rm
			if h>>rm&1 == 1 && rd != 31 {
				return h | 1<<rd, true
			}
			return h &^ (1 << rd), true
		case group == 0b1000 || group == 0b1001 || group&0b0111 == 0b0101: // data processing
			return h &^ (1 << rd), true
		case group&0b0101 == 0b0100 && w&0x3f00_0000 == 0x3900_0000 && w>>22&3 == 0: // str with an offset: writes none
			return h, true
		case group&0b0101 == 0b0100: // loads and stores
			return h &^ (1<<rd | 1<<rn | 1<<rt2), true
		}
		return h, false // branches, system instructions, vectors
	})
}

// Follow implements arch.Follower (ARM DDI 0406C A5). Of an instruction that
// may write a register the value is taken to be gone from it.
func (text32) Follow(code []byte, from string) []arch.Held {
	return follow(code, from, "r", 13, func(w uint32, h held) (held, bool) {
		rd, rn, rm := w>>12&15, w>>16&15, w&15
		always := w>>28 == 0xe
		switch group := w >> 25 & 7; {
		case w>>28 == 0xf || rd == 15:
			return h, false
		case always && w&0x0fef_0ff0 == 0x01a0_0000: // mov(s) rd, rm
			if h>>rm&1 == 1 {
				return h | 1<<rd, true
			}
			return h &^ (1 << rd), true
		case always && w&0x0fe0_0fff == 0x0240_0000: // sub(s) rd, rn, #0: moves and tests
			if h>>rn&1 == 1 {
				return h | 1<<rd, true
			}
			return h &^ (1 << rd), true
		case group <= 1 && w&0x0180_0000 == 0x0100_0000 && w>>20&1 == 1: // tst, teq, cmp, cmn
			return h, true
		case group == 0 && w&0x90 == 0x90: // multiplications, other loads and stores
			return h &^ (1<<rd | 1<<rn | 1<<rm), true
		case group <= 1: // data processing
			return h &^ (1 << rd), true
		case group <= 3 && (group == 2 || w&0x10 == 0): // ldr, str
			return h &^ (1<<rd | 1<<rn), true
		}
		return h, false
	})
}
