// Package arm holds the rows of the ARM family.
//
// Sources: ARM DDI 0487 (A64 encodings C4, translation tables D8, registers
// D19), the DWARF for the Arm 64-bit Architecture (AADWARF64) and its
// procedure call standard (AAPCS64), Linux 6.1 arch/arm64/include/asm/
// {memory,pgtable-hwdef,thread_info,processor}.h and kernel/{entry,head}.S,
// QEMU 10 gdb-xml/aarch64-core.xml and target/arm/gdbstub.c.
//
// The trap: where Linux is built for 52-bit addresses or for pages of 16 or
// 64 KB the tables have other shapes than the row says; the rows here are for
// 4 KB pages and 48 bits.
package arm
