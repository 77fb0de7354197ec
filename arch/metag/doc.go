// Package metag holds the row of Imagination's Meta core, second generation,
// in local address space as Linux 3.9 to 4.16 uses it by default.
//
// Sources: Linux 4.16 arch/metag (include/asm/{pgtable,pgtable-bits,page,
// thread_info,processor,stacktrace,metag_mem,metag_regs}.h, kernel/{head.S,
// stacktrace.c,process.c,irq.c,vmlinux.lds.S}, mm/mmu-meta2.c), binutils 2.40
// include/opcode/metag.h (instruction formats).
//
// The traps: stacks grow upward, with thread_info at the low end, so that the
// frame of a caller lies below; C names carry an underscore in the ELF file;
// and the size of pages is a property of each entry of the first-level table.
package metag
