// Package s390 holds the row of z/Architecture (s390x).
//
// Sources: z/Architecture Principles of Operation SA22-7832 (instruction
// formats, PSW, dynamic address translation), the ELF ABI s390x supplement
// 1.6 (registers' DWARF numbers, calling convention), Linux 6.1 arch/s390/
// include/asm/{pgtable,lowcore,stacktrace,processor}.h, mm/init.c and
// kernel/entry.S, QEMU 10 gdb-xml/s390-*.xml and target/s390x/gdbstub.c.
//
// The traps: users have an address space of their own, so that an address
// alone does not say whose it is; the kernel runs without translation until
// paging_init; and a function returns by whatever register it loaded the
// return address into, not by r14 alone.
package s390
