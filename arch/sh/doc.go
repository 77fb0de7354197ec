// Package sh holds the row of SuperH (SH-4).
//
// Sources: SH-4 Software Manual, Renesas REJ09B0318 (encodings, address
// spaces, banked registers), GCC's sh ABI (config/sh/sh.h), Linux 6.1 arch/sh/
// include/asm/{pgtable-2level,pgtable_32,thread_info,processor_32,addrspace}.h,
// QEMU 10 target/sh4/gdbstub.c.
//
// The traps: constants lie between the instructions of a function; jumps take
// the instruction behind them along, which often takes the frame down or makes
// the result; and current_thread_info is in the other bank's r7.
package sh
