package x86

import (
	"debug/elf"
	"encoding/binary"

	"github.com/leakvisor/leakvisor/arch"
)

// I386 returns the row of 32-bit x86, with the kernel's gigabyte at the top
// (VMSPLIT_3G); without PAE, but for kernels that have it.
func I386() *arch.Arch {
	a := &arch.Arch{
		Name:     "i386",
		ELF:      arch.ELF{Machine: elf.EM_386, Class: elf.ELFCLASS32, Data: elf.ELFDATA2LSB},
		WordSize: 4,
		Order:    binary.LittleEndian,
		Regs: []arch.Reg{
			{Name: "eax", DWARF: 0, GDB: 0, Size: 4},
			{Name: "ecx", DWARF: 1, GDB: 1, Size: 4},
			{Name: "edx", DWARF: 2, GDB: 2, Size: 4},
			{Name: "ebx", DWARF: 3, GDB: 3, Size: 4},
			{Name: "esp", DWARF: 4, GDB: 4, Size: 4},
			{Name: "ebp", DWARF: 5, GDB: 5, Size: 4},
			{Name: "esi", DWARF: 6, GDB: 6, Size: 4},
			{Name: "edi", DWARF: 7, GDB: 7, Size: 4},
			{Name: "eip", DWARF: 8, GDB: 8, Size: 4},
			{Name: "eflags", DWARF: 9, GDB: 9, Size: 4},
			{Name: "fs_base", DWARF: -1, GDB: -1, Size: 4},
			{Name: "cr3", DWARF: -1, GDB: -1, Size: 4},
		},
		Call: arch.Call{
			Args:         []string{"eax", "edx", "ecx"}, // -mregparm=3
			Stack:        arch.StackArgs{Offset: 4, Count: 1},
			Result:       "eax",
			PC:           "eip",
			SP:           "esp",
			FP:           "ebp",
			FrameRecords: true, // there is no ORC on 32 bits
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 4,
			VABits:    32,
			Levels: []arch.Level{
				{Name: "pgd", Shift: 22, Bits: 10, Leaf: arch.AllSet(pagePSE)},
				{Name: "pte", Shift: 12, Bits: 10},
			},
			Absent:       arch.AllClear(pagePresent),
			Frame:        0xffff_f000,
			RootSymbols:  []string{"swapper_pg_dir"},
			RootRegister: "cr3",
		},
		Linux: arch.Linux{
			Text:       0xc000_0000, // PAGE_OFFSET
			TextEnd:    0xff00_0000, // the reset vector is at the top
			SlideAlign: 8 << 10,     // CONFIG_PHYSICAL_ALIGN's least value
			PerCPUBase: "fs_base",
			Firmware:   arch.Segment{End: lowMemory},
			SwitchedSP: "thread.sp",
			StackSize:  8 << 10, // THREAD_SIZE
			IRQStacks:  []arch.CPUStack{{Symbol: "hardirq_stack_ptr"}, {Symbol: "softirq_stack_ptr"}},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{uint32(elf.R_386_32): 4}},
		Text:   text{bits: 32},
		QEMU: &arch.QEMU{
			Binary:       "qemu-system-i386",
			Package:      "qemu-system-x86",
			Machine:      "pc",
			CPU:          "qemu32",
			Console:      "ttyS0",
			Append:       timerCheck,
			TripleFaults: true,
		},
	}
	a.Adapt = func(b arch.Build) *arch.Arch {
		if arch.LongEntries(b) {
			return a.WithPaging(pae)
		}
		return a
	}
	return a
}

// pae makes page tables those with physical address extension
// (arch/x86/include/asm/pgtable-3level_types.h; Intel SDM volume 3, section 4.4).
// The root has four entries, and need only be aligned to its size.
func pae(p *arch.Paging) {
	p.EntrySize = 8
	p.Levels = arch.Levels(p.PageShift, p.VABits, arch.AllSet(pagePSE))
	p.Frame, p.RootFrame = 0x000f_ffff_ffff_f000, 0xffff_ffe0
	p.UserRoot, p.UserRootSymbol = 1<<12, "pti_init" // as on x86-64
}
