package sh

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// SH4 returns the row of SH-4, little-endian, with 29-bit physical addresses
// and 4 KB pages.
func SH4() *arch.Arch {
	const p1, p2, p3 = 0x8000_0000, 0xa000_0000, 0xc000_0000
	return &arch.Arch{
		Name:     "sh4",
		ELF:      arch.ELF{Machine: elf.EM_SH, Class: elf.ELFCLASS32, Data: elf.ELFDATA2LSB},
		WordSize: 4,
		Order:    binary.LittleEndian,
		Regs:     regs(),
		Call: arch.Call{
			Args:   []string{"r4", "r5", "r6", "r7"},
			Stack:  arch.StackArgs{Count: 2},
			Result: "r0",
			PC:     "pc",
			SP:     "r15",
			FP:     "r14",
			Link:   "pr",
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 4,
			VABits:    32,
			Levels: []arch.Level{
				{Name: "pgd", Shift: 22, Bits: 10, Absent: arch.AllClear(p1), Frame: 0xffff_f000, Virtual: true},
				{Name: "pte", Shift: 12, Bits: 10},
			},
			Absent:      arch.AllClear(pagePresent),
			Frame:       0x1fff_f000, // PTE_PHYS_MASK with 29 bits
			RootSymbols: []string{"swapper_pg_dir"},
			TaskTables:  true,
			Linear:      []arch.Segment{{Start: p1, End: p2}, {Start: p2, End: p3}},
		},
		Linux: arch.Linux{
			Text:       p1,
			TextEnd:    p2,             // QEMU's boot code is seen uncached
			Entry:      "start_kernel", // the unpacker of a zImage runs before
			SwitchedSP: "thread.sp",
			CurrentIn:  &arch.Member{Register: "r7b1", Struct: "thread_info", Member: "task"},
			IRQStacks:  []arch.CPUStack{{Symbol: "hardirq_ctx"}, {Symbol: "softirq_ctx"}},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{1: 4}}, // R_SH_DIR32
		Text:   text{},
		QEMU: &arch.QEMU{
			Binary:   "qemu-system-sh4",
			Package:  "qemu-system-misc",
			Machine:  "r2d",
			Console:  "ttySC1,115200",
			Serial:   1,
			Append:   "noiotrap",
			RAM:      "r2d.sdram",
			CPUs:     1,
			ByNumber: true,
		},
	}
}

// regs lists the general registers as they are in use, the program counter,
// the return address, the status, and r7 of the second bank.
func regs() []arch.Reg {
	var out []arch.Reg
	for i := range 16 {
		out = append(out, arch.Reg{Name: gpr(uint16(i)), DWARF: i, GDB: i, Size: 4})
	}
	return append(out,
		arch.Reg{Name: "pc", DWARF: 16, GDB: 16, Size: 4},
		arch.Reg{Name: "pr", DWARF: 17, GDB: 17, Size: 4},
		arch.Reg{Name: "sr", DWARF: -1, GDB: 22, Size: 4},
		arch.Reg{Name: "r7b1", DWARF: -1, GDB: 58, Size: 4})
}

const pagePresent = 0x100 // _PAGE_PRESENT

// gpr returns the name of a general register.
func gpr(n uint16) string { return fmt.Sprintf("r%d", n) }
