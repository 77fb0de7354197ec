package microblaze

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// MicroBlazeBE returns the row of big-endian MicroBlaze with an MMU, whose
// kernel is linked for the memory of QEMU's board.
func MicroBlazeBE() *arch.Arch {
	return row("microblaze", elf.ELFDATA2MSB, binary.BigEndian)
}

// MicroBlazeLE is MicroBlazeBE for little-endian.
func MicroBlazeLE() *arch.Arch {
	return row("microblazeel", elf.ELFDATA2LSB, binary.LittleEndian)
}

// row returns the row of a byte order. QEMU has a program of its name.
func row(name string, data elf.Data, order binary.ByteOrder) *arch.Arch {
	const pageOffset, memory = 0xc000_0000, 0x9000_0000
	return &arch.Arch{
		Name:     name,
		ELF:      arch.ELF{Machine: elf.EM_MICROBLAZE, Class: elf.ELFCLASS32, Data: data},
		WordSize: 4,
		Order:    order,
		Regs:     regs(),
		Call: arch.Call{
			Args:     []string{"r5", "r6", "r7", "r8", "r9", "r10"},
			Result:   "r3",
			PC:       "rpc",
			SP:       "r1",
			FP:       "r19",
			Link:     "r15",
			LinkSkip: 8,
		},
		Paging: &arch.Paging{
			PageShift: 12,
			EntrySize: 4,
			VABits:    32,
			Levels: []arch.Level{
				{Name: "pgd", Shift: 22, Bits: 10, Absent: arch.AllClear(0xffff_f000), Virtual: true},
				{Name: "pte", Shift: 12, Bits: 10},
			},
			Absent:      arch.AllClear(2), // _PAGE_PRESENT
			Frame:       0xffff_f000,
			RootSymbols: []string{"swapper_pg_dir"},
			TaskTables:  true,
			// CONFIG_LOWMEM_SIZE, behind which vmalloc begins, and
			// CONFIG_KERNEL_BASE_ADDR
			Linear: []arch.Segment{{Start: pageOffset, End: pageOffset + 768<<20, Phys: memory}},
		},
		Linux: arch.Linux{
			Text:       pageOffset,
			SwitchedSP: "thread_info.cpu_context.r1",
			StackSize:  8 << 10, // THREAD_SIZE
			Current:    "r31",
		},
		Relocs: arch.Relocs{Sizes: map[uint32]int{1: 4}}, // R_MICROBLAZE_32
		Text:   text{order},
		QEMU: &arch.QEMU{
			Binary:  "qemu-system-" + name,
			Package: "qemu-system-misc",
			Machine: "petalogix-s3adsp1800",
			Console: "ttyUL0,115200",
			RAM:     "petalogix_s3adsp1800.ram",
		},
	}
}

func regs() []arch.Reg {
	var out []arch.Reg
	for i := range 32 {
		out = append(out, arch.Reg{Name: reg(uint32(i)), DWARF: i, GDB: i, Size: 4})
	}
	return append(out, arch.Reg{Name: "rpc", DWARF: -1, GDB: 32, Size: 4})
}

// reg returns the name of a general register.
func reg(n uint32) string { return fmt.Sprintf("r%d", n) }
