package ppc

import (
	"debug/elf"
	"encoding/binary"

	"github.com/leakvisor/leakvisor/arch"
)

// PPC32 returns the row of 32-bit Power, big-endian, with e500's page tables
// (Book E, CONFIG_PHYS_64BIT) and the kernel's gigabyte at the top.
func PPC32() *arch.Arch {
	return &arch.Arch{
		Name:     "ppc32",
		ELF:      arch.ELF{Machine: elf.EM_PPC, Class: elf.ELFCLASS32, Data: elf.ELFDATA2MSB},
		WordSize: 4,
		Order:    binary.BigEndian,
		Regs:     regs(4),
		Call: arch.Call{
			Args:      []string{"r3", "r4", "r5", "r6", "r7", "r8"},
			Result:    "r3",
			PC:        "pc",
			SP:        "r1",
			FP:        "r31",
			Link:      "lr",
			BackChain: &arch.BackChain{ChainAt: 0, ReturnAt: 4},
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 4,
			VABits:    32,
			Levels: []arch.Level{
				{Name: "pgd", Shift: 21, Bits: 11, Absent: arch.AllClear(0xffff_f000), Virtual: true},
				{
					Name: "pte", Shift: 12, Bits: 9, EntrySize: 8,
					Absent: arch.AllClear(1),                   // _PAGE_PRESENT
					Frame:  ^uint64(1<<24 - 1), FrameShift: 12, // PTE_RPN_SHIFT 24
				},
			},
			Frame:       0xffff_f000,
			RootSymbols: []string{"swapper_pg_dir"},
			TaskTables:  true,
			Linear:      []arch.Segment{{Start: pageOffset, End: pageOffset + 768<<20}},
			LinearEnd:   "high_memory",
		},
		Linux: arch.Linux{
			Text:       pageOffset,
			SwitchedSP: "thread.ksp",
			StackSize:  8 << 10, // THREAD_SIZE
			Current:    "r2",
			IRQStacks: []arch.CPUStack{
				{Symbol: "hardirq_ctx"}, {Symbol: "softirq_ctx"}, {Symbol: "critirq_ctx"},
				{Symbol: "dbgirq_ctx"}, {Symbol: "mcheckirq_ctx"},
			},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{uint32(elf.R_PPC_ADDR32): 4}},
		Text:   text{binary.BigEndian},
		QEMU: &arch.QEMU{
			Binary:  "qemu-system-ppc",
			Package: "qemu-system-ppc",
			Machine: "ppce500",
			CPU:     "e500v2",
			Console: "ttyS0",
		},
	}
}

// pageOffset is PAGE_OFFSET: physical memory from zero on, at most 768 MB
// (arch/powerpc/Kconfig, LOWMEM_SIZE).
const pageOffset = 0xc000_0000
