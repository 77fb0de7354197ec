package arch

// QEMU says how qemu-system runs a guest of this architecture.
type QEMU struct {
	Binary  string // for example "qemu-system-x86_64"
	Package string // Debian package that has it
	Machine string // -M
	CPU     string // -cpu, empty for the machine's default
	Console string // console= argument for the kernel command line
	Serial  int    // which of the machine's serial ports that is, from zero
	Append  string // more of that, for want of real hardware; mostly empty
	// CPUs is how many the machine has that Linux can use; zero for any number.
	CPUs int
	// RAM is QEMU's name of the machine's memory, for machines that have their
	// own and take no other; mostly empty.
	RAM string
	// ByNumber says that QEMU does not list the registers to plugins. They are
	// read by their GDB numbers, with a function that QEMU need not export.
	ByNumber bool
	// TripleFaults says that a reset can be a fault that nothing handled. QEMU
	// logs it if it is to log resets, which it does not survive everywhere.
	TripleFaults bool
	// Halves are the GDB numbers, from the first to behind the last, of registers
	// that have half a word each where the stub gives all at once.
	Halves [2]int
	// Windows is where QEMU has register windows; nil for a CPU without.
	Windows *Windows
}

// Windows says where QEMU keeps register windows (SPARC): callers' registers,
// which a CPU writes to their frames only when it runs out of windows. Each has
// eight registers for what is passed to callees, the stack pointer the seventh
// of them, and eight of its own; those of its caller come next. The latter
// sixteen belong to the beginning of its frame.
type Windows struct {
	// State is the symbol of a description of the CPU's state (QEMU's
	// VMStateDescription) that QEMU need not export. It has the following by
	// these names: the registers of all windows, each behind that of its
	// callee; how many windows there are; the present one's number; how many of
	// the following ones are callers' that are not in memory; how many are
	// free; and how many of those and of callers' have nothing old in them.
	State                                       string
	File, Count, Current, Callers, Spare, Clean string
	// Level is how many traps deep the CPU is, and Traps what it keeps by level;
	// of that TrapState has, in its low five bits, the number of the window that
	// was the present one, counted from the last: a trap can change it. These are
	// names in the same description.
	Level, Traps, TrapState string
	// Globals are registers of no window, as many as are passed to callees, that
	// others stand for, unless Usual holds.
	Globals string
	Usual   RegisterMatch
	// Take is what instructions of four bytes are that take a new window. As
	// long as none is free, or has nothing old in it, they trap instead, and are
	// executed again.
	Take Match
}
