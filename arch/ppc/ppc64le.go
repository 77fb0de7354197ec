package ppc

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// PPC64LE returns the row of 64-bit Power, little-endian, with radix trees
// (arch/powerpc/include/asm/book3s/64/radix-64k.h); and with 64 KB pages, but for
// kernels of which the page of zeros says otherwise (radix-4k.h).
func PPC64LE() *arch.Arch {
	a := &arch.Arch{
		Name:     "ppc64le",
		ELF:      arch.ELF{Machine: elf.EM_PPC64, Class: elf.ELFCLASS64, Data: elf.ELFDATA2LSB},
		WordSize: 8,
		Order:    binary.LittleEndian,
		Regs:     regs(8),
		Call: arch.Call{
			Args:       []string{"r3", "r4", "r5", "r6", "r7", "r8"},
			Result:     "r3",
			PC:         "pc",
			SP:         "r1",
			FP:         "r31",
			Link:       "lr",
			LocalEntry: true,
			BackChain:  &arch.BackChain{ChainAt: 0, ReturnAt: 16},
		},
		Paging: &arch.Paging{
			PageShift: 16,
			EntrySize: 8,
			Order:     binary.BigEndian,
			VABits:    52,
			High:      []uint64{kernelQuadrant >> 52},
			Levels: []arch.Level{
				{Name: "pgd", Shift: 39, Bits: 13, Frame: tableAddress},
				{Name: "pud", Shift: 30, Bits: 9, Leaf: arch.AllSet(entryLeaf), Frame: tableAddress},
				{Name: "pmd", Shift: 21, Bits: 9, Leaf: arch.AllSet(entryLeaf), Frame: tableAddress},
				{Name: "pte", Shift: 16, Bits: 5},
			},
			Absent:      arch.AllClear(entryPresent),
			Frame:       0x01ff_ffff_ffff_f000, // PTE_RPN_MASK
			RootSymbols: []string{"swapper_pg_dir"},
			Linear:      []arch.Segment{{Start: kernelQuadrant, End: kernelQuadrant + 1<<51}},
		},
		Linux: arch.Linux{
			Text:       kernelQuadrant,
			Entry:      "start_here_common", // behind copy_and_flush, arch/powerpc/kernel/head_64.S
			SwitchedSP: "thread.ksp",
			StackSize:  16 << 10, // THREAD_SIZE
			CurrentIn:  &arch.Member{Register: "r13", Struct: "paca_struct", Member: "__current"},
			IRQStacks:  []arch.CPUStack{{Symbol: "hardirq_ctx"}, {Symbol: "softirq_ctx"}},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{uint32(elf.R_PPC64_ADDR64): 8, uint32(elf.R_PPC64_ADDR32): 4}},
		Text:   text{binary.LittleEndian},
		QEMU: &arch.QEMU{
			Binary:  "qemu-system-ppc64",
			Package: "qemu-system-ppc",
			// What TCG does not have of the machine's defaults.
			Machine: "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off",
			CPU:     "power9",
			Console: "hvc0",
		},
	}
	a.Adapt = func(b arch.Build) *arch.Arch {
		if size, ok := b.Size("empty_zero_page"); !ok || size != 4<<10 {
			return a
		}
		return a.WithPaging(func(p *arch.Paging) {
			last := &p.Levels[len(p.Levels)-1]
			p.PageShift, last.Shift, last.Bits = 12, 12, 9
		})
	}
	return a
}

// regs lists the registers of size bytes each.
func regs(size int) []arch.Reg {
	var out []arch.Reg
	for i := range 32 {
		out = append(out, arch.Reg{Name: fmt.Sprintf("r%d", i), DWARF: i, GDB: i, Size: size})
	}
	return append(out,
		arch.Reg{Name: "pc", DWARF: -1, GDB: -1, Size: size},
		arch.Reg{Name: "lr", DWARF: 65, GDB: -1, Size: size},
		arch.Reg{Name: "cr", DWARF: 68, GDB: -1, Size: 4},
	)
}

const (
	kernelQuadrant = 0xc000_0000_0000_0000 // PAGE_OFFSET

	entryPresent = 1 << 63
	entryLeaf    = 1 << 62
	tableAddress = 0x0fff_ffff_ffff_ff00 // of the next table, without its size
)
