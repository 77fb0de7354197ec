package x86

import (
	"debug/elf"
	"encoding/binary"

	"github.com/leakvisor/leakvisor/arch"
)

// timerCheck keeps the kernel from comparing its timers for a moment as it
// boots (check_timer of arch/x86/kernel/apic/io_apic.c): when the host is busy
// an emulated timer seems broken, and the kernel panics.
const timerCheck = "no_timer_check"

// lowMemory is the first megabyte, which setup_arch reserves as a whole
// (arch/x86/kernel/setup.c, reserve_real_mode, since 5.13): the BIOS, what the
// boot loader left, and the kernel's real-mode code. Before, Linux used most of
// it like other memory, and those pages are not reserved.
const lowMemory = 1 << 20

// AMD64 returns the row of x86-64.
func AMD64() *arch.Arch {
	return &arch.Arch{
		Name:     "x86_64",
		ELF:      arch.ELF{Machine: elf.EM_X86_64, Class: elf.ELFCLASS64, Data: elf.ELFDATA2LSB},
		WordSize: 8,
		Order:    binary.LittleEndian,
		Regs: []arch.Reg{
			{Name: "rax", DWARF: 0, GDB: 0, Size: 8},
			{Name: "rbx", DWARF: 3, GDB: 1, Size: 8},
			{Name: "rcx", DWARF: 2, GDB: 2, Size: 8},
			{Name: "rdx", DWARF: 1, GDB: 3, Size: 8},
			{Name: "rsi", DWARF: 4, GDB: 4, Size: 8},
			{Name: "rdi", DWARF: 5, GDB: 5, Size: 8},
			{Name: "rbp", DWARF: 6, GDB: 6, Size: 8},
			{Name: "rsp", DWARF: 7, GDB: 7, Size: 8},
			{Name: "r8", DWARF: 8, GDB: 8, Size: 8},
			{Name: "r9", DWARF: 9, GDB: 9, Size: 8},
			{Name: "r10", DWARF: 10, GDB: 10, Size: 8},
			{Name: "r11", DWARF: 11, GDB: 11, Size: 8},
			{Name: "r12", DWARF: 12, GDB: 12, Size: 8},
			{Name: "r13", DWARF: 13, GDB: 13, Size: 8},
			{Name: "r14", DWARF: 14, GDB: 14, Size: 8},
			{Name: "r15", DWARF: 15, GDB: 15, Size: 8},
			{Name: "rip", DWARF: 16, GDB: 16, Size: 8},
			{Name: "eflags", DWARF: 49, GDB: 17, Size: 4},
			{Name: "fs_base", DWARF: 58, GDB: 24, Size: 8},
			{Name: "gs_base", DWARF: 59, GDB: 25, Size: 8},
			{Name: "k_gs_base", DWARF: -1, GDB: 26, Size: 8},
			{Name: "cr3", DWARF: -1, GDB: 29, Size: 8},
			{Name: "cr4", DWARF: -1, GDB: 30, Size: 8},
		},
		Call: arch.Call{
			Args:   []string{"rdi", "rsi", "rdx", "rcx", "r8", "r9"},
			Result: "rax",
			PC:     "rip",
			SP:     "rsp",
			FP:     "rbp",
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 8,
			VABits:    48,
			Canonical: true,
			Levels: []arch.Level{
				{Name: "pgd", Shift: 39, Bits: 9},
				{Name: "pud", Shift: 30, Bits: 9, Leaf: arch.AllSet(pagePSE)},
				{Name: "pmd", Shift: 21, Bits: 9, Leaf: arch.AllSet(pagePSE)},
				{Name: "pte", Shift: 12, Bits: 9},
			},
			Absent:       arch.AllClear(pagePresent),
			Frame:        0x000f_ffff_ffff_f000,
			RootSymbols:  []string{"init_top_pgt", "swapper_pg_dir"},
			RootRegister: "cr3",
			TaskTables:   true,
			// Page-table isolation, arch/x86/mm/pti.c: the second half of
			// swapper_pg_dir.
			UserRoot: 1 << 12, UserRootSymbol: "pti_init",
			Extra:         &arch.Level{Name: "pgd", Shift: 48, Bits: 9},
			ExtraRegister: "cr4",
			ExtraMask:     1 << 12, // CR4.LA57
		},
		Linux: arch.Linux{
			Text:         0xffff_ffff_8000_0000, // __START_KERNEL_map
			SlideAlign:   2 << 20,               // CONFIG_PHYSICAL_ALIGN's least value
			PerCPUBase:   "gs_base",
			Firmware:     arch.Segment{End: lowMemory},
			SwitchedSP:   "thread.sp",
			ReturnThunks: []string{"__x86_return_thunk", "srso_return_thunk", "srso_alias_return_thunk", "retbleed_return_thunk", "its_return_thunk", "call_depth_return_thunk"},
			// kernel/trace/fgraph.c; rethooks since 5.18, kretprobes before.
			ReturnTracers: []string{"return_to_handler", "arch_rethook_trampoline", "__kretprobe_trampoline", "kretprobe_trampoline"},
			// arch/x86/kernel/alternative.c: the second looks at each return
			// (since 5.19, "Undo return-thunk damage").
			TextPatchers: []string{"apply_alternatives", "apply_returns"},
			StackSize:    16 << 10, // THREAD_SIZE without KASAN
			// Documentation/arch/x86/x86_64/mm.rst; the values are those of
			// four levels without randomization.
			DirectMap: &arch.Base{Symbol: "page_offset_base", Value: 0xffff_8880_0000_0000},
			Vmemmap:   &arch.Base{Symbol: "vmemmap_base", Value: 0xffff_ea00_0000_0000},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{
			uint32(elf.R_X86_64_64): 8, uint32(elf.R_X86_64_32): 4, uint32(elf.R_X86_64_32S): 4,
		}},
		Text: text{bits: 64},
		QEMU: &arch.QEMU{
			Binary:       "qemu-system-x86_64",
			Package:      "qemu-system-x86",
			Machine:      "pc",
			CPU:          "qemu64",
			Console:      "ttyS0",
			Append:       timerCheck,
			TripleFaults: true,
		},
	}
}

// Bits of a page table entry, Intel SDM volume 3, table 4-19.
const (
	pagePresent = 1 << 0
	pagePSE     = 1 << 7
)
