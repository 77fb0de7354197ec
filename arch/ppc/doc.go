// Package ppc holds the rows of the Power family.
//
// Sources: the 64-bit ELF V2 ABI for Power 1.4 (registers' DWARF numbers,
// calling convention, local entry points), Power ISA 3.0B (branches, radix
// trees), Linux 6.1 arch/powerpc/include/asm/book3s/64/{pgtable,radix,
// radix-64k}.h, asm/{paca,processor,thread_info}.h, asm/nohash/32/{pgtable,
// pte-85xx}.h and the System V ABI's supplement for PowerPC for 32 bits, QEMU 10
// gdb-xml/power{,64}-core.xml.
//
// The traps: in 64 bits a function has two entries, the second of which all
// callers pass; page tables are big-endian on little-endian kernels too; the
// row is for radix trees and pages of 64 KB. In 32 bits page tables are what
// each family of CPUs has: the row is for e500 with 64-bit entries. In neither
// does a register name the tables.
package ppc
