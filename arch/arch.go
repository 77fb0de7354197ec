package arch

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// Arch is one guest architecture: a family, a word size and a byte order.
type Arch struct {
	// Name is for printing only.
	Name string

	// ELF says which ELF files are of this architecture.
	ELF ELF

	// WordSize is the size of a pointer and of unsigned long, in bytes.
	WordSize int
	// Order is the byte order of the guest's memory.
	Order binary.ByteOrder

	// Regs are the registers that take part in calls, unwinding and root
	// scanning.
	Regs []Reg
	// Call is the C calling convention of the kernel.
	Call Call

	// Paging describes Linux's own page tables; nil where they cannot be
	// walked.
	Paging *Paging
	// Linux holds the kernel's names and layout constants.
	Linux Linux

	// Adapt returns the row for a kernel that was built so; nil where all are
	// alike.
	Adapt func(Build) *Arch

	// Relocs are the relocations of debug sections in files that are not
	// linked, as modules are.
	Relocs Relocs

	// Text finds function exits; nil where there is no disassembler.
	Text Disassembler
	// QEMU says how qemu-system runs it; nil where QEMU cannot.
	QEMU *QEMU
	// Interpreted says that Leakvisor has an interpreter for it (hv/emu).
	Interpreted bool
}

// ELF identifies an architecture in an ELF header.
type ELF struct {
	Machine elf.Machine
	Class   elf.Class
	Data    elf.Data
}

// ELFOf returns what an ELF header says.
func ELFOf(h elf.FileHeader) ELF { return ELF{h.Machine, h.Class, h.Data} }

// Find returns which of some architectures it is, nil for none.
func (e ELF) Find(archs []*Arch) *Arch {
	for _, a := range archs {
		if a.ELF == e {
			return a
		}
	}
	return nil
}

// Relocs are the relocations that compilers put into debug sections. All of
// them store the symbol's value plus the addend.
type Relocs struct {
	// Sizes gives by type how many bytes they store, 4 or 8. The numbers are
	// those of the architecture's psABI, as in include/elf/*.h of binutils.
	Sizes map[uint32]int
	// InParts says that r_info is in 64-bit files a symbol of 32 bits, a special
	// one and three types of 8 bits each, whatever the byte order.
	InParts bool
}

// Reg is one register.
type Reg struct {
	Name  string
	DWARF int // DWARF register number, -1 for none
	// GDB is the register's number in GDB's register file for the target, -1
	// where the target's description gives it by Name.
	GDB  int
	Size int // bytes
}

// Call is a C calling convention. Registers are given by name.
type Call struct {
	Args []string // integer arguments, in order
	// Stack are the arguments behind those in registers.
	Stack  StackArgs
	Result string // integer result
	PC     string
	SP     string
	FP     string // frame pointer or the register unwinding starts from
	// Link is the register with the return address at a function's first
	// instruction; empty where the call pushes it on the stack, at SP.
	Link string
	// LinkSkip is how many bytes behind the address in Link, or where that was
	// saved, a function returns to.
	LinkSkip uint64
	// FrameRecords says that FP always names a record of two words, the
	// caller's record and the return address.
	FrameRecords bool
	// LocalEntry says that a symbol tells, as ELF files for ELFv2 do in st_other,
	// how many bytes behind its address callers enter that share its data
	// pointer. Others come there too.
	LocalEntry bool
	// BackChain is how frames are chained where each has its caller's address
	// and the registers saved in it.
	BackChain *BackChain
	// StackUp says that the stack grows to higher addresses: what is in use of
	// it lies below SP, and the frame of a caller below that of a callee.
	StackUp bool
	// Bias is how far above the address that a stack pointer or a frame pointer
	// has, in a register or saved, its frame begins, in bytes.
	Bias uint64
	// Signed are the bits of a saved return address that pointer
	// authentication may have changed; in the kernel's addresses all are set.
	Signed uint64
}

// StackArgs says that Count arguments, one word each, lie Offset bytes above
// the stack pointer at a function's first instruction.
type StackArgs struct {
	Offset, Count int
}

// BackChain says where a frame, which the stack pointer names, has what is
// needed to go to its caller, by members of the kernel's types.
type BackChain struct {
	// ChainAt and ReturnAt are fixed offsets in a frame, for ABIs that have
	// them; then Frame, Chain and Saved are empty.
	ChainAt, ReturnAt uint64
	// Own says that a frame has its own return address, not its callee's.
	Own bool

	Frame  string // the structure; empty with fixed offsets
	Chain  string // member with the caller's stack pointer
	Saved  string // member with registers: an array of words
	Return int    // index in it of the return address, in the caller's frame
	// Behind a frame without a chain lies a struct pt_regs, where an interrupt
	// or a system call came: PC and Mode are its members with the address and
	// with what Linux.UserMode is about, SP is the index of the stack pointer
	// in its member Regs.
	PC, Mode, Regs string
	SP             int
	// Mark is the member that says, as Marked, that there is a struct pt_regs,
	// for ABIs whose frames have a chain before it too; it lies RegsAt bytes
	// behind the frame's beginning.
	Mark   string
	Marked Match
	RegsAt uint64
}

// Linux names what the kernel of this architecture keeps where.
type Linux struct {
	// Text is the lowest address that only kernel text can have: the first
	// instruction executed at or above it belongs to the kernel.
	Text uint64
	// TextEnd is the first address behind which firmware may run before the
	// kernel does; zero for none.
	TextEnd uint64
	// Entry is the function from which on the kernel is where it stays, for
	// kernels that move themselves; what runs at or above Text before it, an
	// unpacker too, is passed over. Empty where the first code is the kernel's.
	Entry string
	// SlideAlign is the alignment of the KASLR slide, in bytes; zero where
	// the kernel is never moved.
	SlideAlign uint64
	// PerCPUBase is the register that holds the running CPU's per-CPU
	// offset in kernel mode; empty where only __per_cpu_offset serves.
	PerCPUBase string
	// SwitchedSP is the member path of task_struct which holds a sleeping
	// task's stack pointer, for example "thread.sp". A path that begins with
	// thread_info is in the structure at the stack's lowest address in kernels
	// whose tasks have no such member.
	SwitchedSP string
	// ReturnThunks are symbols to which a jump is a return in disguise; those
	// that a kernel lacks are skipped.
	ReturnThunks []string
	// ReturnTracers are symbols that tracers put in the place of return
	// addresses; those that a kernel lacks are skipped.
	ReturnTracers []string
	// TextPatchers are functions that rewrite the kernel's own text once at
	// boot, before other CPUs run, and allocate nothing; those that a kernel
	// lacks are skipped. When all have run, function entries and returns have
	// their final form.
	TextPatchers []string
	// SwitchedSize is how many bytes from there on are in use of a stack that
	// grows upward.
	SwitchedSize uint64
	// SymbolPrefix is what the symbol of a C name begins with in the ELF file,
	// and the name does not; mostly empty.
	SymbolPrefix string
	// StackSize is THREAD_SIZE in bytes where the types do not say it
	// (sizeof union thread_union); zero otherwise.
	StackSize uint64
	// DirectMap is where physical address zero is mapped, Vmemmap where the
	// struct page of page frame zero is (SPARSEMEM_VMEMMAP); nil where other
	// variables of the kernel tell.
	DirectMap, Vmemmap *Base
	// Current is the register that holds the running task's task_struct in
	// kernel mode; empty where a per-CPU variable current_task has it.
	Current string
	// CurrentIn is the place in kernel memory that has it instead, which then
	// also has the preempt count if it has a member preempt_count.
	CurrentIn *Member
	// Firmware is physical memory that Linux leaves to firmware and boot loader
	// as a whole but for code of its own: whatever is in its reserved pages
	// refers to nothing. Empty for none.
	Firmware Segment
	// UserMode holds for a CPU in user mode, where an address does not tell
	// whose it is; the zero value where it does.
	UserMode RegisterMatch
	// IRQStacks are the stacks of interrupts that each CPU has, of the size of
	// a task's.
	IRQStacks []CPUStack
}

// Member is a member of a structure that Register points to; without one it
// lies at address zero. Align is what the register is rounded down to first, a
// power of two in bytes; zero for none.
type Member struct {
	Register, Struct, Member string
	Align                    uint64
}

// CPUStack names a variable that points to a stack: per-CPU, or an array by
// CPU. With a Struct it points to that instead, whose Member is the pointer.
type CPUStack struct {
	Symbol         string
	Struct, Member string
	Top            bool // it points to the stack's end, or shortly before
	// Link is how far below the stack's end, in bytes, the stack pointer is
	// kept that was in use before; zero where it is not.
	Link uint64
	Size uint64 // in bytes; zero for that of a task's
}

// Base is an address that the kernel keeps in a variable, or else has as a
// constant.
type Base struct {
	Symbol string // of the word that holds it, empty or absent for none
	Value  uint64 // without the variable; zero for none
}

// Exit is one way out of a function.
type Exit struct {
	Addr uint64 // of the instruction that leaves
	Tail uint64 // target of a tail call; zero for a return
	// Pop is what the instruction itself, or the one in its delay slot, adds to
	// the stack pointer, in bytes.
	Pop uint64
	// SP is the register that has the stack pointer which the function was
	// entered with, less Pop; empty for Call.SP.
	SP string
	// Result is what the instruction in the delay slot makes the result; nil
	// where Call.Result has it before.
	Result *Sum
	// If is when it leaves; nil for always.
	If *Condition
}

// Sum is a register, or zero without one, and what is added: a constant, and
// another register if With is one. With Signed only so many low bits of the
// first count, of which the topmost is the sign.
type Sum struct {
	Register, With string
	Add            uint64
	Signed         uint
}

// Body is where a function's code is and which jumps return from it: what all
// Disassemblers ask about a direct jump.
type Body struct {
	Start, End uint64          // End is behind the last byte
	Thunks     map[uint64]bool // see Disassembler
}

// NewBody returns the Body of code at addr.
func NewBody(addr uint64, code []byte, thunks map[uint64]bool) Body {
	return Body{addr, addr + uint64(len(code)), thunks}
}

// Whole errs where code at addr does not consist of whole instructions of size
// bytes, each at a multiple of that.
func Whole(addr uint64, code []byte, size int) error {
	if addr%uint64(size) != 0 || len(code)%size != 0 {
		return fmt.Errorf("code of %d bytes at %#x does not consist of whole instructions", len(code), addr)
	}
	return nil
}

// Jump returns the way out that a direct jump at one address to another is.
// It is false for a jump that stays inside.
func (b Body) Jump(at, target uint64) (Exit, bool) {
	switch {
	case b.Thunks[target]:
		return Exit{Addr: at}, true
	case target < b.Start || target >= b.End:
		return Exit{Addr: at, Tail: target}, true
	}
	return Exit{}, false
}

// Condition is what a conditional instruction depends on: four bits of a
// register, of which Shift is the lowest. Bit n of Taken says whether the
// condition holds when their value is n.
type Condition struct {
	Register string
	Shift    uint
	Taken    uint16
}

// Disassembler finds the exits of a function from its bytes.
type Disassembler interface {
	// Exits returns the instructions of code, which starts at addr, that
	// leave [addr, addr+len(code)): returns, jumps to one of the thunks (a
	// return in disguise) and jumps elsewhere (tail calls, or a jump to the
	// function's other part). It errs where the code cannot be decoded.
	Exits(addr uint64, code []byte, thunks map[uint64]bool) ([]Exit, error)
}

// Follower is what a Disassembler may be besides.
type Follower interface {
	// Follow says where the value that the register from holds before code is
	// found behind each of its instructions, as long as they go straight on;
	// the first Held is before them. It ends where nothing is certain.
	Follow(code []byte, from string) []Held
}

// Framer is what a Disassembler may be besides, for code whose frames are
// not chained.
type Framer interface {
	// Frame reads from the code of a function, up to a call in it, what frame
	// the function has at that call: its size in bytes, by which the caller's
	// stack pointer is higher, and where in it the return address is. It is
	// false for code that does not keep one.
	Frame(code []byte) (size, ret uint64, ok bool)
}

// Held are the registers with a value, behind so many bytes of code.
type Held struct {
	Offset    int
	Registers []string
}

// Reg finds a register by name.
func (a *Arch) Reg(name string) (Reg, bool) {
	for _, r := range a.Regs {
		if r.Name == name {
			return r, true
		}
	}
	return Reg{}, false
}

// StackPointer is where the innermost frame begins, by the registers.
func (a *Arch) StackPointer(regs map[string]uint64) uint64 { return regs[a.Call.SP] + a.Call.Bias }

// Word reads one machine word from the start of b.
func (a *Arch) Word(b []byte) uint64 { return a.Uint(b[:a.WordSize]) }

// PutWord writes one machine word to the start of b.
func (a *Arch) PutWord(b []byte, v uint64) {
	if a.WordSize == 4 {
		a.Order.PutUint32(b, uint32(v))
		return
	}
	a.Order.PutUint64(b, v)
}

// Uint reads an unsigned integer of len(b) bytes: 1, 2, 4 or 8; other
// lengths read as zero.
func (a *Arch) Uint(b []byte) uint64 { return Uint(a.Order, b) }

// Uint is Arch.Uint for a byte order.
func Uint(order binary.ByteOrder, b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(order.Uint16(b))
	case 4:
		return uint64(order.Uint32(b))
	case 8:
		return order.Uint64(b)
	}
	return 0
}
