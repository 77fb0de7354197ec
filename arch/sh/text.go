package sh

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// text finds exits and frames among the instructions of a function, all of 16
// bits.
type text struct{}

var (
	_ arch.Disassembler = text{}
	_ arch.Framer       = text{}
)

// Instructions without operands, and registers.
const (
	rts = 0x000b
	sp  = 15
)

// code is the instructions of a function and the constants between them.
type code struct {
	addr uint64
	b    []byte
	data map[int]bool // offsets of halfwords that an instruction loads
	// literals are what registers were last loaded with.
	literals map[uint16]uint64
}

func newCode(addr uint64, b []byte) *code {
	return &code{addr: addr, b: b, data: map[int]bool{}, literals: map[uint16]uint64{}}
}

// at returns the instruction at an offset; false for a constant. Constants are
// behind the instructions that load them, so that going through the code once
// in order finds all.
func (c *code) at(off int) (w uint16, ok bool) {
	if c.data[off] || off+2 > len(c.b) {
		return 0, false
	}
	w = binary.LittleEndian.Uint16(c.b[off:])
	n, disp := w>>8&15, int(w&0xff)
	switch w >> 12 {
	case 0xd: // mov.l @(disp,pc),rn
		to := int((c.addr+uint64(off))&^3+4-c.addr) + 4*disp
		c.data[to], c.data[to+2] = true, true
		delete(c.literals, n)
		if to+4 <= len(c.b) {
			c.literals[n] = uint64(binary.LittleEndian.Uint32(c.b[to:]))
		}
		return w, true
	case 0x9: // mov.w @(disp,pc),rn
		c.data[off+4+2*disp] = true
	}
	if r, ok := writes(w); ok {
		delete(c.literals, r)
	}
	return w, true
}

// Exits implements arch.Disassembler. A jump to a register that a constant was
// loaded into is a tail call, another one the jump table of a switch.
func (text) Exits(addr uint64, b []byte, thunks map[uint64]bool) ([]arch.Exit, error) {
	if err := arch.Whole(addr, b, 2); err != nil {
		return nil, err
	}
	body := arch.NewBody(addr, b, thunks)
	c := newCode(addr, b)
	var exits []arch.Exit
	for off := 0; off < len(b); off += 2 {
		at := addr + uint64(off)
		w, ok := c.at(off)
		if !ok {
			continue
		}
		var target uint64
		switch {
		case w == rts:
			if off+4 > len(b) {
				return nil, fmt.Errorf("the return at %#x has no delay slot", at)
			}
			exit, err := slot(at, binary.LittleEndian.Uint16(b[off+2:]))
			if err != nil {
				return nil, err
			}
			exits = append(exits, exit)
			continue
		case w&0xf0ff == 0x402b: // jmp @rn
			if target, ok = c.literals[w>>8&15]; !ok {
				continue
			}
		case w>>12 == 0xa: // bra
			target = at + 4 + uint64(int64(int16(w<<4)>>4)*2)
		case w&0xf900 == 0x8900: // bt, bf, bt/s, bf/s
			target = at + 4 + uint64(int64(int8(w))*2)
		default:
			continue
		}
		if exit, ok := body.Jump(at, uint64(uint32(target))); ok {
			exits = append(exits, exit)
		}
	}
	return exits, nil
}

// slot returns the return at an address with the instruction w in its delay
// slot.
func slot(at uint64, w uint16) (arch.Exit, error) {
	exit := arch.Exit{Addr: at}
	n, m := w>>8&15, w>>4&15
	imm := uint64(int64(int8(w)))
	to, changes := writes(w)
	switch {
	case w == 0x4f26, w&0xf0ff == 0x60f6 && n != 0: // lds.l @r15+,pr; mov.l @r15+,rn
		exit.Pop = 4
	case w&0xff00 == 0x7f00: // add #imm,r15
		exit.Pop = imm
	case w == 0x6fe3: // mov r14,r15
		exit.SP = gpr(14)
	case w&0xff0f == 0x6003: // mov rm,r0
		exit.Result = &arch.Sum{Register: gpr(m)}
	case w&0xff00 == 0xe000: // mov #imm,r0
		exit.Result = &arch.Sum{Add: imm}
	case w&0xff00 == 0x7000: // add #imm,r0
		exit.Result = &arch.Sum{Register: gpr(0), Add: imm}
	case changes && (to == 0 || to == sp), w&0x000f == 6 && w>>12 == 6 && m == sp:
		return exit, fmt.Errorf("the instruction %#04x behind the return at %#x makes the result or the stack pointer", w, at)
	}
	return exit, nil
}

// writes returns the general register that an instruction changes, but for a
// second one that it counts up or down.
func writes(w uint16) (uint16, bool) {
	n, low := w>>8&15, w&15
	switch w >> 12 {
	case 0x0:
		switch {
		case low >= 0xc && low != 0xf, low == 2, low == 0xa, w&0xff == 0x29: // mov @(r0,rm), stc, sts, movt
			return n, true
		}
	case 0x2: // stores, which may count down; and, xor, or, xtrct
		return n, low >= 4 && low <= 6 || low >= 9 && low <= 0xb || low == 0xd
	case 0x3: // all but comparisons and multiplications
		switch low {
		case 4, 8, 0xa, 0xb, 0xc, 0xe, 0xf:
			return n, true
		}
	case 0x4: // shifts, dt; sts.l and stc.l count down, lds.l and ldc.l up
		switch low {
		case 0xb, 0xe, 0xf, 0xa: // jsr, jmp, tas, ldc, mac, lds
			return 0, false
		case 1, 5:
			return n, w&0x30 != 0x10 // cmp/pz, cmp/pl; dt is low nibble 0
		}
		return n, true
	case 0x5, 0x6, 0x7, 0x9, 0xd, 0xe:
		return n, true
	case 0x8: // mov.b, mov.w @(disp,rm),r0
		return 0, n == 4 || n == 5
	case 0xc: // mov @(disp,gbr),r0; mova; and, xor, or
		return 0, n >= 4 && n <= 7 || n >= 9 && n <= 0xb
	}
	return 0, false
}

// Frame implements arch.Framer: a function pushes registers once, among them
// the return address before it calls anything, and takes room for its
// variables.
func (text) Frame(b []byte) (size, ret uint64, ok bool) {
	c := newCode(0, b)
	for off := 0; off < len(b); off += 2 {
		w, valid := c.at(off)
		switch {
		case !valid:
		case w == 0x4f22: // sts.l pr,@-r15
			size += 4
			ret, ok = size, true
		case w&0xff0f == 0x2f06: // mov.l rm,@-r15
			size += 4
		case w&0xff80 == 0x7f80: // add #-imm,r15
			size += uint64(-int64(int8(w)))
		case w&0xff0f == 0x3f0c, w&0xff0f == 0x3f08: // add rm,r15; sub rm,r15
			return 0, 0, false // a large frame
		}
	}
	return size, size - ret, ok
}
