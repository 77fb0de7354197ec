// Package mips holds the rows of MIPS: 32 bits in both byte orders, and 64.
//
// Sources: MIPS Architecture For Programmers, volumes I, II and III, revision
// 5.04 (encodings, segments), the System V ABI MIPS supplement and the n64 ABI
// (registers, calls), Linux 6.1 arch/mips/include/asm/{pgtable,pgtable-bits,
// pgtable-32,pgtable-64,addrspace,irq,mach-generic/spaces}.h, kernel/{head,
// genex}.S, kernel/relocate.c and mm/tlbex.c, QEMU 10 target/mips/gdbstub.c.
//
// The traps: the instruction behind a jump, in its delay slot, runs before
// what is jumped to, and often takes the frame down or makes the result; the
// tables of pages name each other by virtual addresses; and where a page's
// address is in an entry depends on the configuration, so that the kernel's
// enumeration of the bits has to be asked.
package mips
