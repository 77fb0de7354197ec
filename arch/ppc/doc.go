// Package ppc holds the rows of the Power family.
//
// Sources: the 64-bit ELF V2 ABI for Power 1.4 (registers' DWARF numbers,
// calling convention, local entry points), Power ISA 3.0B (branches, radix
// trees), Linux 6.1 arch/powerpc/include/asm/book3s/64/{pgtable,radix,
// radix-64k}.h, asm/{paca,processor,thread_info}.h, QEMU 10 gdb-xml/
// power64-core.xml.
//
// The traps: a function has two entries, the second of which all callers
// pass; page tables are big-endian on little-endian kernels too, and no
// register names them; the row is for radix trees and pages of 64 KB.
package ppc
