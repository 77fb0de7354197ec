package arm

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// ARM64 returns the row of AArch64, little-endian, 4 KB pages, 48-bit
// addresses.
func ARM64() *arch.Arch {
	return &arch.Arch{
		Name:     "arm64",
		ELF:      arch.ELF{Machine: elf.EM_AARCH64, Class: elf.ELFCLASS64, Data: elf.ELFDATA2LSB},
		WordSize: 8,
		Order:    binary.LittleEndian,
		Regs:     regs64(),
		Call: arch.Call{
			Args:         []string{"x0", "x1", "x2", "x3", "x4", "x5"},
			Result:       "x0",
			PC:           "pc",
			SP:           "sp",
			FP:           "x29",
			Link:         "x30",
			FrameRecords: true,
			// With 48-bit addresses, and no tags in the kernel's.
			Signed: 0xffff_0000_0000_0000,
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 8,
			VABits:    48,
			High:      []uint64{0xffff},
			Levels: []arch.Level{
				{Name: "pgd", Shift: 39, Bits: 9},
				{Name: "pud", Shift: 30, Bits: 9, Leaf: block},
				{Name: "pmd", Shift: 21, Bits: 9, Leaf: block},
				{Name: "pte", Shift: 12, Bits: 9},
			},
			Absent:       arch.AllClear(descValid),
			Frame:        0x0000_ffff_ffff_f000,
			RootSymbols:  []string{"swapper_pg_dir"},
			MoreRoots:    []string{"tramp_pg_dir", "idmap_pg_dir"},
			RootRegister: "TTBR1_EL1",
			TaskTables:   true,
		},
		Linux: arch.Linux{
			// _PAGE_END(VA_BITS_MIN), where modules, the image and vmalloc
			// begin: 48 bits at most.
			Text:       0xffff_8000_0000_0000,
			SlideAlign: 64 << 10, // EFI_KIMG_ALIGN
			PerCPUBase: "TPIDR_EL1",
			SwitchedSP: "thread.cpu_context.sp",
			StackSize:  16 << 10, // THREAD_SIZE with 4 KB pages, without KASAN
			Current:    "SP_EL0",
			IRQStacks:  []arch.CPUStack{{Symbol: "irq_stack_ptr"}},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{uint32(elf.R_AARCH64_ABS64): 8, uint32(elf.R_AARCH64_ABS32): 4}},
		Text:   text64{},
		QEMU: &arch.QEMU{
			Binary:  "qemu-system-aarch64",
			Package: "qemu-system-arm",
			Machine: "virt",
			CPU:     "cortex-a57",
			Console: "ttyAMA0",
		},
	}
}

// regs64 lists the registers. System registers have numbers that differ with
// the processor and with QEMU's version.
func regs64() []arch.Reg {
	var out []arch.Reg
	for i := range 31 {
		out = append(out, arch.Reg{Name: fmt.Sprintf("x%d", i), DWARF: i, GDB: i, Size: 8})
	}
	out = append(out,
		arch.Reg{Name: "sp", DWARF: 31, GDB: 31, Size: 8},
		arch.Reg{Name: "pc", DWARF: 32, GDB: 32, Size: 8},
		arch.Reg{Name: "cpsr", DWARF: -1, GDB: 33, Size: 4},
	)
	for _, name := range []string{"SP_EL0", "TPIDR_EL1", "TTBR1_EL1"} {
		out = append(out, arch.Reg{Name: name, DWARF: -1, GDB: -1, Size: 8})
	}
	return out
}

// Bits of a stage 1 descriptor, ARM DDI 0487 D8.3.
const (
	descValid = 1 << 0
	descTable = 1 << 1 // a page at the last level
)

// block is a descriptor of an upper level that maps memory itself.
var block = arch.Match{Mask: descValid | descTable, Value: descValid}
