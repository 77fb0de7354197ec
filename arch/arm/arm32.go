package arm

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// ARMv7 returns the row of 32-bit ARM, little-endian, with the kernel's gigabyte
// at the top (VMSPLIT_3G); with two levels of page tables, but for kernels that
// have LPAE.
func ARMv7() *arch.Arch {
	a := &arch.Arch{
		Name:     "armv7",
		ELF:      arch.ELF{Machine: elf.EM_ARM, Class: elf.ELFCLASS32, Data: elf.ELFDATA2LSB},
		WordSize: 4,
		Order:    binary.LittleEndian,
		Regs:     regs32(),
		Call: arch.Call{
			Args:   []string{"r0", "r1", "r2", "r3"},
			Result: "r0",
			PC:     "pc",
			SP:     "sp",
			FP:     "r11",
			Link:   "lr",
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 4,
			VABits:    32,
			// The hardware's tables; Linux keeps its own bits in the other
			// half of each page of them (pgtable-2level.h).
			Levels: []arch.Level{
				{Name: "pgd", Shift: 20, Bits: 12, Leaf: arch.AllSet(2), Frame: 0xffff_fc00},
				{Name: "pte", Shift: 12, Bits: 8},
			},
			Absent:       arch.AllClear(3),
			Frame:        0xffff_f000,
			RootSymbols:  []string{"swapper_pg_dir"},
			RootRegister: "TTBR1",
		},
		Linux: arch.Linux{
			Text:       0xbf00_0000, // MODULES_VADDR, behind TASK_SIZE
			PerCPUBase: "TPIDRPRW",
			SwitchedSP: "thread_info.cpu_context.sp",
			StackSize:  8 << 10, // THREAD_SIZE without KASAN
			Current:    "TPIDRURO",
			IRQStacks: []arch.CPUStack{
				{Symbol: "irq_stack_ptr", Top: true},
				{Symbol: "overflow_stack_ptr", Top: true, Size: 4 << 10}, // OVERFLOW_STACK_SIZE
			},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{uint32(elf.R_ARM_ABS32): 4}},
		Text:   text32{},
		QEMU: &arch.QEMU{
			Binary:  "qemu-system-arm",
			Package: "qemu-system-arm",
			Machine: "virt",
			CPU:     "cortex-a15",
			Console: "ttyAMA0",
		},
	}
	a.Adapt = func(b arch.Build) *arch.Arch {
		if arch.LongEntries(b) {
			return a.WithPaging(lpae)
		}
		return a
	}
	return a
}

// lpae makes page tables those with the large physical address extension
// (arch/arm/include/asm/pgtable-3level.h; ARM ARM, issue C, section B3.6). TTBR1
// then begins at the second level, as it has the last gigabyte only; the table of
// a task, which TTBR0 has, has all of the kernel's too. It lies in low memory,
// below 4 GiB. Above the address in TTBR0 is the address space's number.
func lpae(p *arch.Paging) {
	p.EntrySize = 8
	p.Levels = arch.Levels(p.PageShift, p.VABits, block)
	p.Absent = arch.AllClear(descValid)
	p.RootRegister = "TTBR0"
	p.Frame, p.RootFrame = 0x00ff_ffff_f000, 0xffff_ffe0
}

// regs32 lists the registers; see regs64 for those of the system.
func regs32() []arch.Reg {
	var out []arch.Reg
	for i := range 13 {
		out = append(out, arch.Reg{Name: fmt.Sprintf("r%d", i), DWARF: i, GDB: i, Size: 4})
	}
	for i, name := range []string{"sp", "lr", "pc"} {
		out = append(out, arch.Reg{Name: name, DWARF: 13 + i, GDB: 13 + i, Size: 4})
	}
	for _, name := range []string{"cpsr", "TPIDRURO", "TPIDRPRW", "TTBR0", "TTBR1"} {
		out = append(out, arch.Reg{Name: name, DWARF: -1, GDB: -1, Size: 4})
	}
	return out
}
