package arm

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/leakvisor/leakvisor/arch"
)

// ARM64 returns the row of AArch64, little-endian; with 4 KB pages and 48-bit
// addresses, but for kernels of which the header and the place of their image
// say otherwise.
func ARM64() *arch.Arch {
	a := &arch.Arch{
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
		},
		Linux: arch.Linux{
			SlideAlign: 64 << 10, // EFI_KIMG_ALIGN
			PerCPUBase: "TPIDR_EL1",
			SwitchedSP: "thread.cpu_context.sp",
			Current:    "SP_EL0",
			IRQStacks:  []arch.CPUStack{{Symbol: "irq_stack_ptr"}},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{uint32(elf.R_AARCH64_ABS64): 8, uint32(elf.R_AARCH64_ABS32): 4}},
		Text:   text64{},
		QEMU: &arch.QEMU{
			Binary:  "qemu-system-aarch64",
			Package: "qemu-system-arm",
			Machine: "virt",
			CPU:     "cortex-a76", // has pages of all sizes
			Console: "ttyAMA0",
		},
	}
	a.Adapt = func(b arch.Build) *arch.Arch {
		pageShift, vaBits, ok := granule(b)
		if !ok {
			return a
		}
		adapted := *a
		setPages(&adapted, pageShift, vaBits)
		return &adapted
	}
	setPages(a, 12, 48)
	return a
}

// granule returns log2 of the page size, which the header of the image has
// (Documentation/arch/arm64/booting.rst), and how many bits an address has at
// least: the image is linked near the start of the upper half of the kernel's
// addresses (_PAGE_END in arch/arm64/include/asm/memory.h).
func granule(b arch.Build) (pageShift, vaBits uint, ok bool) {
	const flags, magic = 24, 56 // offsets in the header
	text, header, ok := b.Content("_text", 64)
	if !ok || string(header[magic:magic+4]) != "ARM\x64" {
		return 0, 0, false
	}
	size := uint(header[flags] >> 1 & 3) // 4 KB, 16 KB and 64 KB; 0 is unknown
	vaBits = uint(bits.Len64(^text)) + 1
	return 10 + 2*size, vaBits, size > 0 && vaBits >= 36 && vaBits <= 48
}

// setPages sets what depends on the pages' size and on how many bits addresses
// have.
func setPages(a *arch.Arch, pageShift, vaBits uint) {
	kernels := ^uint64(0) << vaBits
	a.Call.Signed = kernels // there are no tags in the kernel's
	// _PAGE_END(VA_BITS_MIN), where modules, the image and vmalloc begin.
	a.Linux.Text = ^uint64(0) << (vaBits - 1)
	a.Linux.StackSize = max(16<<10, uint64(1)<<pageShift) // THREAD_SIZE without KASAN
	a.Paging = &arch.Paging{
		PageShift:    pageShift,
		EntrySize:    8,
		VABits:       vaBits,
		High:         []uint64{kernels >> vaBits},
		Levels:       arch.Levels(pageShift, vaBits, block),
		Absent:       arch.AllClear(descValid),
		Frame:        0x0000_ffff_ffff_ffff &^ (1<<pageShift - 1),
		RootSymbols:  []string{"swapper_pg_dir"},
		MoreRoots:    []string{"tramp_pg_dir", "idmap_pg_dir"},
		RootRegister: "TTBR1_EL1",
		TaskTables:   true,
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
