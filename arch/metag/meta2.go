package metag

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// Meta2 returns the row of Meta 2.1, 32-bit, little-endian.
func Meta2() *arch.Arch {
	return &arch.Arch{
		Name:     "metag",
		ELF:      arch.ELF{Machine: elf.EM_METAG, Class: elf.ELFCLASS32, Data: elf.ELFDATA2LSB},
		WordSize: 4,
		Order:    binary.LittleEndian,
		Regs:     regs(),
		Call: arch.Call{
			Args:         []string{"D1Ar1", "D0Ar2", "D1Ar3", "D0Ar4", "D1Ar5", "D0Ar6"},
			Result:       "D0Re0",
			PC:           "PC",
			SP:           "A0StP",
			FP:           "A0FrP",
			Link:         "D1RtP",
			FrameRecords: true, // struct metag_frame
			StackUp:      true,
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 4,
			VABits:    31,
			Levels: []arch.Level{
				{Name: "pgd", Shift: 22, Bits: 9, Frame: 0xffff_ffc0, Larger: arch.Field{Shift: 1, Bits: 4}},
				{Name: "pte", Shift: 12, Bits: 10},
			},
			Absent:       arch.AllClear(entryValid),
			Frame:        0xffff_f000,
			RootSymbols:  []string{"swapper_pg_dir"},
			RootRegister: "LOCAL_TABLE_PHYS1",
			TaskTables:   true,
			Off:          arch.RegisterMatch{Register: "LOCAL_TABLE_PHYS0", Match: arch.AllClear(entryValid)},
		},
		Linux: arch.Linux{
			Text:         0x4000_0000, // PAGE_OFFSET, which the linker script begins with
			TextEnd:      0x8000_0000,
			SymbolPrefix: "_",
			SwitchedSP:   "thread.kernel_context", // the registers lie where the stack ended
			SwitchedSize: 152,                     // sizeof(TBICTX)
			StackSize:    stackSize,
			DirectMap:    &arch.Base{Symbol: "meta_memoffset"},
			CurrentIn:    &arch.Member{Register: "A0StP", Align: stackSize, Struct: "thread_info", Member: "task"},
			IRQStacks:    []arch.CPUStack{{Symbol: "hardirq_ctx"}, {Symbol: "softirq_ctx"}},
		},
		Relocs:      arch.Relocs{Sizes: map[uint32]int{2: 4}}, // R_METAG_ADDR32
		Text:        text{},
		Interpreted: true,
	}
}

const (
	stackSize  = 8 << 10 // THREAD_SIZE without CONFIG_4KSTACKS
	entryValid = 1       // MMCU_ENTRY_VAL_BIT
)

// regs are the registers by the names that assemblers know; no document gives
// them DWARF numbers. Those of the table are its two memory-mapped registers of
// the running hardware thread, MMCU_TnLOCAL_TABLE_PHYS0 and 1.
func regs() []arch.Reg {
	var out []arch.Reg
	add := func(names ...string) {
		for _, name := range names {
			out = append(out, arch.Reg{Name: name, DWARF: -1, GDB: -1, Size: 4})
		}
	}
	add("D0Re0", "D0Ar6", "D0Ar4", "D0Ar2", "D0FrT")
	for i := 5; i < 16; i++ {
		add(fmt.Sprintf("D0.%d", i))
	}
	add("D1Re0", "D1Ar5", "D1Ar3", "D1Ar1", "D1RtP")
	for i := 5; i < 16; i++ {
		add(fmt.Sprintf("D1.%d", i))
	}
	add("A0StP", "A0FrP")
	for i := 2; i < 8; i++ {
		add(fmt.Sprintf("A0.%d", i))
	}
	add("A1GbP", "A1LbP")
	for i := 2; i < 8; i++ {
		add(fmt.Sprintf("A1.%d", i))
	}
	add("PC", "PCX", "TXSTATUS", "LOCAL_TABLE_PHYS0", "LOCAL_TABLE_PHYS1")
	return out
}
