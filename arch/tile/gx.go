package tile

import (
	"debug/elf"
	"encoding/binary"
	"strconv"

	"github.com/leakvisor/leakvisor/arch"
)

// registers is the number of registers that instructions name; their DWARF
// numbers are the same.
const registers = 64

// PC is the program counter's name. It has DWARF number 64
// (arch/tile/include/uapi/arch/abi.h and gcc's config/tilegx/tilegx.h).
const PC = "pc"

// PageTable is where the hypervisor keeps what hv_install_context gave it, the
// physical address of the page tables; zero before. It is as good as a register.
const PageTable = "page_table"

// named are the registers with names of their own: abi.h.
var named = [...]string{53: "tp", 54: "sp", 55: "lr", 56: "sn", 57: "idn0", 58: "idn1", 59: "udn0", 60: "udn1", 61: "udn2", 62: "udn3", 63: "zero"}

// Name is the name of a register by its number.
func Name(n int) string {
	if n >= 0 && n < len(named) && named[n] != "" {
		return named[n]
	}
	return "r" + strconv.Itoa(n)
}

// Register is the number of a register by its name.
func Register(name string) (int, bool) {
	n, ok := numbers[name]
	return n, ok
}

var numbers = func() map[string]int {
	m := make(map[string]int, registers)
	for i := range registers {
		m[Name(i)] = i
	}
	return m
}()

const (
	tableAlign = 11            // HV_LOG2_PAGE_TABLE_ALIGN
	ptfn       = 1<<64 - 1<<35 // HV_PTE_INDEX_PTFN: the address in units of tables
	ptfnShift  = 35 - tableAlign
)

// GX returns the row of TILE-Gx.
func GX() *arch.Arch {
	return &arch.Arch{
		Name:     "tilegx",
		ELF:      arch.ELF{Machine: elf.EM_TILEGX, Class: elf.ELFCLASS64, Data: elf.ELFDATA2LSB},
		WordSize: 8,
		Order:    binary.LittleEndian,
		Regs:     regs(),
		Call: arch.Call{
			Args:   []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9"},
			Result: "r0",
			PC:     PC,
			SP:     "sp",
			FP:     "r52",
			Link:   "lr",
		},
		Paging: &arch.Paging{
			PageShift: 16,
			EntrySize: 8,
			VABits:    42,
			Canonical: true,
			// HV_LOG2_L1_SPAN is 32, huge pages are of 16 MiB (hv/pagesize.h).
			Levels: []arch.Level{
				{Name: "pgd", Shift: 32, Bits: 10, Frame: ptfn, FrameShift: ptfnShift},
				{Name: "pmd", Shift: 24, Bits: 8, Leaf: arch.AllSet(1 << 8), Frame: ptfn, FrameShift: ptfnShift}, // HV_PTE_PAGE
				{Name: "pte", Shift: 16, Bits: 8, Frame: ptfn, FrameShift: ptfnShift},
			},
			Absent:       arch.AllClear(1),           // HV_PTE_PRESENT
			Frame:        ^uint64(1<<tableAlign - 1), // of a root
			RootSymbols:  []string{"swapper_pg_dir"},
			RootRegister: PageTable,
			TaskTables:   true,
			Off:          arch.RegisterMatch{Register: PageTable, Match: arch.AllClear(1<<64 - 1)},
		},
		Linux: arch.Linux{
			Text:       0xffff_fff7_0000_0000, // MEM_SV_START
			PerCPUBase: "tp",
			SwitchedSP: "thread.ksp",
			StackSize:  64 << 10, // THREAD_SIZE, one page
			DirectMap:  &arch.Base{Value: 0xffff_fe00_0000_0000},
			CurrentIn:  &arch.Member{Register: "sp", Align: 64 << 10, Struct: "thread_info", Member: "task"},
		},
		Relocs:      arch.Relocs{Sizes: map[uint32]int{1: 8, 2: 4}}, // R_TILEGX_64, R_TILEGX_32
		Text:        text{},
		Interpreted: true,
	}
}

func regs() []arch.Reg {
	var out []arch.Reg
	for i := range registers {
		out = append(out, arch.Reg{Name: Name(i), DWARF: i, GDB: i, Size: 8})
	}
	return append(out,
		arch.Reg{Name: PC, DWARF: registers, GDB: registers, Size: 8},
		arch.Reg{Name: PageTable, DWARF: -1, GDB: -1, Size: 8})
}
