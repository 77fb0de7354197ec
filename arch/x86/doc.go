// Package x86 holds the rows of the x86 family.
//
// Sources: System V ABI AMD64 supplement 1.0 (registers' DWARF numbers,
// calling convention), Intel SDM volume 3 chapter 4 (page tables), QEMU 10
// gdb-xml/i386-64bit.xml and target/i386/gdbstub.c (GDB numbers), Linux 6.1
// arch/x86/include/asm/{page_64_types,pgtable_64_types,processor}.h.
//
// The trap: with return thunks (CONFIG_RETHUNK) no function ends in a bare
// ret; a return is a jump to __x86_return_thunk, which the kernel may or may
// not patch to ret at boot.
package x86
