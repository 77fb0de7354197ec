package x86

import (
	"slices"

	"golang.org/x/arch/x86/x86asm"

	"github.com/leakvisor/leakvisor/arch"
)

var _ arch.Follower = text{}

// Follow implements arch.Follower for the general registers. It goes through
// the instructions that compilers put behind a call, and ends at any other.
func (t text) Follow(code []byte, from string) []arch.Held {
	first := slices.Index(t.registers(), from)
	if first < 0 {
		return nil
	}
	holds := uint16(1) << first
	out := []arch.Held{{Registers: []string{from}}}
	for off := 0; off < len(code) && holds != 0; {
		in, err := x86asm.Decode(code[off:], t.bits)
		if err != nil {
			break
		}
		off += in.Len
		dst, isReg := general(in.Args[0])
		switch in.Op {
		case x86asm.MOV:
			src, copied := general(in.Args[1])
			switch {
			case isReg && copied && holds>>src&1 == 1 && in.DataSize == t.bits:
				holds |= 1 << dst
			case isReg:
				holds &^= 1 << dst
			}
		case x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA, x86asm.XOR, x86asm.OR, x86asm.AND, x86asm.ADD, x86asm.SUB,
			x86asm.SHL, x86asm.SHR, x86asm.SAR, x86asm.INC, x86asm.DEC, x86asm.NEG, x86asm.NOT, x86asm.POP:
			if isReg {
				holds &^= 1 << dst
			}
		case x86asm.TEST, x86asm.CMP, x86asm.PUSH, x86asm.NOP:
		default:
			return out
		}
		var names []string
		for k, name := range t.registers() {
			if holds>>k&1 == 1 {
				names = append(names, name)
			}
		}
		out = append(out, arch.Held{Offset: off, Registers: names})
	}
	return out
}

// registers are the general registers' names by their number in instructions.
func (t text) registers() []string {
	if t.bits == 32 {
		return []string{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"}
	}
	return []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}
}

// general returns the number of the general register that an operand is, or
// is a part of.
func general(a x86asm.Arg) (int, bool) {
	r, ok := a.(x86asm.Reg)
	switch {
	case !ok:
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), true
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), true
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + 4, true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), true
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true
	}
	return 0, false
}
