package mips

import (
	"debug/elf"
	"encoding/binary"

	"github.com/leakvisor/leakvisor/arch"
)

// MIPS32LE returns the row of 32-bit MIPS, little-endian, o32, with 4 KB pages.
func MIPS32LE() *arch.Arch {
	return row32("mipsel", elf.ELFDATA2LSB, binary.LittleEndian, "qemu-system-mipsel")
}

// MIPS32BE is MIPS32LE for big-endian.
func MIPS32BE() *arch.Arch {
	return row32("mips", elf.ELFDATA2MSB, binary.BigEndian, "qemu-system-mips")
}

func row32(name string, data elf.Data, order binary.ByteOrder, binary string) *arch.Arch {
	const kseg0, kseg1, kseg2 = 0x8000_0000, 0xa000_0000, 0xc000_0000
	a := &arch.Arch{
		Name:     name,
		ELF:      arch.ELF{Machine: elf.EM_MIPS, Class: elf.ELFCLASS32, Data: data},
		WordSize: 4,
		Order:    order,
		Regs:     regs(4),
		Call: arch.Call{
			Args:   []string{"a0", "a1", "a2", "a3"},
			Stack:  arch.StackArgs{Offset: 16, Count: 2},
			Result: "v0",
			PC:     "pc",
			SP:     "sp",
			FP:     "s8",
			Link:   "ra",
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 4,
			VABits:    32,
			Levels: []arch.Level{
				{Name: "pgd", Shift: 22, Bits: 10, Absent: arch.AllClear(kseg0), Virtual: true},
				{Name: "pte", Shift: 12, Bits: 10},
			},
			Absent:      arch.AllClear(pagePresent),
			Frame:       0xffff_f000,
			RootSymbols: []string{"swapper_pg_dir"},
			TaskTables:  true,
			Linear:      []arch.Segment{{Start: kseg0, End: kseg1}, {Start: kseg1, End: kseg2}},
		},
		Linux:  linux(kseg0, kseg1),
		Relocs: arch.Relocs{Sizes: map[uint32]int{uint32(elf.R_MIPS_32): 4}},
		Text:   text{order},
		QEMU:   malta(binary, "34Kf"),
	}
	a.Adapt = func(b arch.Build) *arch.Arch { return adapt(a, b) }
	return a
}

// MIPS64LE returns the row of 64-bit MIPS, little-endian, n64, with 4 KB pages
// and 40 bits of virtual addresses.
func MIPS64LE() *arch.Arch {
	const (
		xkphys, xkphysEnd      = 0x8000_0000_0000_0000, 0xc000_0000_0000_0000
		ckseg0, ckseg1         = 0xffff_ffff_8000_0000, 0xffff_ffff_a000_0000
		cksseg                 = 0xffff_ffff_c000_0000
		cacheAttribute    uint = 59 // bits 59 to 61 of an address in xkphys
	)
	linear := []arch.Segment{{Start: ckseg0, End: ckseg1}, {Start: ckseg1, End: cksseg}}
	for at := uint64(xkphys); at < xkphysEnd; at += 1 << cacheAttribute {
		linear = append(linear, arch.Segment{Start: at, End: at + 1<<cacheAttribute})
	}
	a := &arch.Arch{
		Name:     "mips64el",
		ELF:      arch.ELF{Machine: elf.EM_MIPS, Class: elf.ELFCLASS64, Data: elf.ELFDATA2LSB},
		WordSize: 8,
		Order:    binary.LittleEndian,
		Regs:     regs(8),
		Call: arch.Call{
			Args:   []string{"a0", "a1", "a2", "a3", "t0", "t1"}, // n64's a4 and a5
			Result: "v0",
			PC:     "pc",
			SP:     "sp",
			FP:     "s8",
			Link:   "ra",
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 8,
			VABits:    40,
			// What vmalloc has, and modules, which both are in the same tables.
			High: []uint64{0xc000_0000_0000_0000 >> 40, cksseg >> 40},
			Levels: []arch.Level{
				{Name: "pgd", Shift: 30, Bits: 10, Absent: arch.AllClear(xkphys), Virtual: true},
				{Name: "pmd", Shift: 21, Bits: 9, Absent: arch.AllClear(xkphys), Virtual: true},
				{Name: "pte", Shift: 12, Bits: 9},
			},
			Absent:      arch.AllClear(pagePresent),
			Frame:       0xffff_ffff_ffff_f000,
			RootSymbols: []string{"swapper_pg_dir"},
			TaskTables:  true,
			Linear:      linear,
		},
		Linux: linux(ckseg0, ckseg1),
		Relocs: arch.Relocs{
			Sizes:   map[uint32]int{uint32(elf.R_MIPS_32): 4, uint32(elf.R_MIPS_64): 8},
			InParts: true, // MIPS64 ELF object file specification 2.5, 2.9.1
		},
		Text: text{binary.LittleEndian},
		QEMU: malta("qemu-system-mips64el", "MIPS64R2-generic"),
	}
	a.QEMU.CPUs = 1 // QEMU 10 has no such CPU with what Malta's Linux needs
	a.Adapt = func(b arch.Build) *arch.Arch { return adapt(a, b) }
	return a
}

func linux(text, end uint64) arch.Linux {
	return arch.Linux{
		Text:       text,
		TextEnd:    end,            // the boot ROM is at 0x1fc00000, seen uncached
		Entry:      "start_kernel", // behind relocate_kernel
		SlideAlign: 64 << 10,
		SwitchedSP: "thread.reg29",
		CurrentIn:  &arch.Member{Register: "gp", Struct: "thread_info", Member: "task"},
		IRQStacks:  []arch.CPUStack{{Symbol: "irq_stack", Link: irqStackLink}},
	}
}

func malta(binary, cpu string) *arch.QEMU {
	return &arch.QEMU{
		Binary:   binary,
		Package:  "qemu-system-mips",
		Machine:  "malta",
		CPU:      cpu,
		Console:  "ttyS0",
		ByNumber: true,
	}
}

// adapt puts into a row where page numbers are in the entries of the last
// level: behind the bits of the cache attribute, of which there are three.
func adapt(a *arch.Arch, b arch.Build) *arch.Arch {
	shift, ok := b.Constant("_CACHE_SHIFT", "paging_init", "do_page_fault")
	if shift += 3; !ok || shift < int64(a.Paging.PageShift) || shift > 20 {
		return a
	}
	return a.WithPaging(func(p *arch.Paging) {
		last := &p.Levels[len(p.Levels)-1]
		last.FrameShift = uint(shift) - p.PageShift
		last.Frame = ^uint64(0) >> (64 - 8*a.WordSize) &^ (1<<shift - 1)
	})
}

// regs lists the general registers by their names in o32, the program counter
// and the status. DWARF has the same numbers as GDB for the former.
func regs(size int) []arch.Reg {
	names := []string{
		"zero", "at", "v0", "v1", "a0", "a1", "a2", "a3", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7",
		"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "t8", "t9", "k0", "k1", "gp", "sp", "s8", "ra",
	}
	var out []arch.Reg
	for i, name := range names {
		out = append(out, arch.Reg{Name: name, DWARF: i, GDB: i, Size: size})
	}
	return append(out,
		arch.Reg{Name: "status", DWARF: -1, GDB: 32, Size: size},
		arch.Reg{Name: "pc", DWARF: -1, GDB: 37, Size: size})
}

const (
	pagePresent  = 1  // _PAGE_PRESENT
	irqStackLink = 16 // IRQ_STACK_SIZE - IRQ_STACK_START
)

// gpr returns the name of a general register.
func gpr(n uint32) string { return regs(8)[n].Name }
