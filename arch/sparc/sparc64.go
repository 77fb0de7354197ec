package sparc

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// SPARC64 returns the row of 64-bit SPARC, big-endian, with 8 KB pages and 44
// bits of virtual addresses (sun4u).
func SPARC64() *arch.Arch {
	const (
		image, modules = 0x40_0000, 0x1000_0000 // KERNBASE, MODULES_VADDR
		direct         = 0xffff_f800_0000_0000  // sparc64_va_hole_top
		directEnd      = direct + 1<<41         // as far as physical addresses go
		pageFrame      = 0x0000_07ff_ffff_e000  // _PAGE_PADDR_4U
	)
	return &arch.Arch{
		Name:     "sparc64",
		ELF:      arch.ELF{Machine: elf.EM_SPARCV9, Class: elf.ELFCLASS64, Data: elf.ELFDATA2MSB},
		WordSize: 8,
		Order:    binary.BigEndian,
		Regs:     regs(),
		Call: arch.Call{
			Args:     []string{"o0", "o1", "o2", "o3", "o4", "o5"},
			Result:   "o0",
			PC:       "pc",
			SP:       "o6",
			FP:       "i6",
			Link:     "o7",
			LinkSkip: 8, // the call, and its delay slot
			Bias:     2047,
			BackChain: &arch.BackChain{
				ChainAt: 14 * 8, ReturnAt: 15 * 8, Own: true, // i6 and i7
				PC: "tpc", Mode: "tstate", Regs: "u_regs", SP: 14,
				Mark: "magic", Marked: arch.Match{Mask: 0xffff_fe00, Value: 0x57ac_6c00}, // PT_REGS_MAGIC
				RegsAt: 192, // STACKFRAME_SZ
			},
		},
		Paging: &arch.Paging{
			PageShift: 13,
			EntrySize: 8,
			VABits:    53,
			Levels: []arch.Level{
				{Name: "pgd", Shift: 43, Bits: 10, Absent: arch.AllClear(pageFrame)},
				{Name: "pud", Shift: 33, Bits: 10, Absent: arch.AllClear(pageFrame), Leaf: arch.AllSet(pageValid | pageHuge)},
				{Name: "pmd", Shift: 23, Bits: 10, Absent: arch.AllClear(pageFrame), Leaf: arch.AllSet(pageValid | pageHuge)},
				{Name: "pte", Shift: 13, Bits: 10},
			},
			Absent:      arch.AllClear(pageValid),
			Frame:       pageFrame,
			RootSymbols: []string{"swapper_pg_dir"},
			TaskTables:  true,
			Linear: []arch.Segment{
				// QEMU loads the kernel to where it is linked, and its firmware
				// maps it as it is (kern_base).
				{Start: image, End: modules, Phys: image},
				{Start: direct, End: directEnd},
			},
		},
		Linux: arch.Linux{
			Text:       image,
			TextEnd:    modules,        // above is OpenBIOS too
			Entry:      "start_kernel", // the firmware and the boot code run before
			SwitchedSP: "thread_info.ksp",
			StackSize:  16 << 10, // THREAD_SIZE
			CurrentIn:  &arch.Member{Register: "g6", Struct: "thread_info", Member: "task"},
			IRQStacks:  []arch.CPUStack{{Symbol: "hardirq_stack"}, {Symbol: "softirq_stack"}},
			DirectMap:  &arch.Base{Symbol: "PAGE_OFFSET", Value: direct},
			UserMode:   arch.RegisterMatch{Register: "state", Match: arch.AllClear(statePriv)},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{
			uint32(elf.R_SPARC_64): 8, uint32(elf.R_SPARC_UA64): 8, uint32(elf.R_SPARC_32): 4, uint32(elf.R_SPARC_UA32): 4,
		}},
		Text: text{},
		QEMU: &arch.QEMU{
			Binary:   "qemu-system-sparc64",
			Package:  "qemu-system-sparc",
			Machine:  "sun4u",
			Console:  "ttyS0",
			CPUs:     1,
			ByNumber: true,
			Halves:   [2]int{32, 64}, // f0 to f31
			RAM:      "sun4u.ram",
			Windows: &arch.Windows{
				State: "vmstate_sparc_cpu",
				File:  "env.regbase", Count: "env.nwindows", Current: "env.cwp", Callers: "env.canrestore",
				Spare: "env.cansave", Clean: "env.cleanwin",
				Level: "env.tl", Traps: "env.ts", TrapState: "tstate",
				Globals: "env.bgregs", Usual: arch.RegisterMatch{Register: "state", Match: arch.AllClear(stateGlobals)},
				Take: arch.Match{Mask: 0xc1f8_0000, Value: 0x81e0_0000}, // save
			},
		},
	}
}

const (
	pageValid = 1 << 63
	pageHuge  = 1 << 56 // _PAGE_PMD_HUGE

	// PSTATE.PRIV, and AG, MG and IG, as TSTATE has them.
	statePriv    = 1 << 10
	stateGlobals = 1<<8 | 1<<18 | 1<<19
)

// regs lists the present window, the program counter and what TSTATE has.
func regs() []arch.Reg {
	var out []arch.Reg
	for i := range uint32(32) {
		out = append(out, arch.Reg{Name: reg(i), DWARF: int(i), GDB: int(i), Size: 8})
	}
	return append(out,
		arch.Reg{Name: "pc", DWARF: -1, GDB: 80, Size: 8},
		arch.Reg{Name: "npc", DWARF: -1, GDB: 81, Size: 8},
		arch.Reg{Name: "state", DWARF: -1, GDB: 82, Size: 8})
}

// reg returns the name of a general register.
func reg(n uint32) string { return fmt.Sprintf("%c%d", "goli"[n/8], n%8) }
