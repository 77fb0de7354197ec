package s390

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// S390X returns the row of z/Architecture, 64-bit, big-endian.
func S390X() *arch.Arch {
	return &arch.Arch{
		Name:     "s390x",
		ELF:      arch.ELF{Machine: elf.EM_S390, Class: elf.ELFCLASS64, Data: elf.ELFDATA2MSB},
		WordSize: 8,
		Order:    binary.BigEndian,
		Regs:     regs(),
		Call: arch.Call{
			Args:   []string{"r2", "r3", "r4", "r5", "r6"},
			Result: "r2",
			PC:     "pswa",
			SP:     "r15",
			FP:     "r11",
			Link:   "r14",
			// The kernel is built with -mbackchain, and on most with
			// -mpacked-stack, which moves both words.
			BackChain: &arch.BackChain{
				Frame: "stack_frame", Chain: "back_chain", Saved: "gprs", Return: 8, // r14; the first is r6
				PC: "psw.addr", Mode: "psw.mask", Regs: "gprs", SP: 15,
			},
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 8,
			VABits:    42,
			Levels: []arch.Level{
				{Name: "region 3", Shift: 31, Bits: 11, Leaf: arch.AllSet(entryLarge)},
				{Name: "segment", Shift: 20, Bits: 11, Leaf: arch.AllSet(entryLarge), Frame: 0xffff_ffff_ffff_f800},
				{Name: "page", Shift: 12, Bits: 8, Absent: arch.AllSet(pageInvalid)},
			},
			Absent:        arch.AllSet(entryInvalid),
			Frame:         0xffff_ffff_ffff_f000,
			RootSymbols:   []string{"swapper_pg_dir"},
			RootRegister:  "cr13", // the home space is the kernel's
			Extra:         &arch.Level{Name: "region 2", Shift: 42, Bits: 11},
			ExtraRegister: "cr13",
			ExtraMask:     asceRegion2,
			Off:           arch.RegisterMatch{Register: "pswm", Match: arch.AllClear(pswDAT)},
			Prefixed:      true,
		},
		Linux: arch.Linux{
			Text:       0x10_0000, // _text; what unpacks the kernel runs below
			SlideAlign: 16 << 10,  // THREAD_SIZE
			SwitchedSP: "thread.ksp",
			StackSize:  16 << 10, // THREAD_SIZE without KASAN
			CurrentIn:  &arch.Member{Struct: "lowcore", Member: "current_task"},
			IRQStacks:  []arch.CPUStack{{Symbol: "lowcore_ptr", Struct: "lowcore", Member: "async_stack", Top: true}},
			UserMode:   arch.RegisterMatch{Register: "pswm", Match: arch.AllSet(pswProblem)},
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{uint32(elf.R_390_64): 8, uint32(elf.R_390_32): 4}},
		Text:   text{},
		QEMU: &arch.QEMU{
			Binary:  "qemu-system-s390x",
			Package: "qemu-system-misc",
			Machine: "s390-ccw-virtio",
			CPU:     "max",
			Console: "ttysclp0",
		},
	}
}

func regs() []arch.Reg {
	out := []arch.Reg{
		{Name: "pswm", DWARF: 64, GDB: 0, Size: 8},
		{Name: "pswa", DWARF: 65, GDB: 1, Size: 8},
	}
	for i := range 16 {
		out = append(out, arch.Reg{Name: fmt.Sprintf("r%d", i), DWARF: i, GDB: 2 + i, Size: 8})
	}
	return append(out, arch.Reg{Name: "cr13", DWARF: -1, GDB: -1, Size: 8})
}

const (
	pswDAT     = 1 << 58 // PSW bit 5: addresses are translated
	pswProblem = 1 << 48 // PSW bit 15: user mode

	asceRegion2  = 0x8   // of the designation type: a region-second table
	entryInvalid = 0x20  // of region and segment table entries
	entryLarge   = 0x400 // format control of the same
	pageInvalid  = 0x400 // of page table entries
)
