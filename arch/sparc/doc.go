// Package sparc holds the row of 64-bit SPARC (V9), as UltraSPARC I and II
// have it.
//
// Sources: The SPARC Architecture Manual, Version 9 (encodings, windows, PSTATE);
// SPARC Compliance Definition 2.4 (calls, the stack's bias); Linux 6.1 arch/sparc/
// include/asm/{pgtable_64,thread_info_64,ptrace,page_64}.h, include/uapi/asm/
// ptrace.h, kernel/{stacktrace,irq_64,etrap_64}.*, mm/init_64.c; QEMU 10
// target/sparc/{gdbstub,machine,win_helper}.c, hw/sparc64/sun4u.c.
//
// The traps: callers' registers are in windows, which are in memory only when
// the CPU ran out of them; stack pointers are 2047 less than the address; a
// return may change the window before the instruction in its delay slot, or by
// it; and a call with the right one in its delay slot is a tail call.
package sparc
