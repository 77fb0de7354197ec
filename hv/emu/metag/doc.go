// Package metag runs guests for Imagination's Meta core, second generation, as
// far as Linux uses it: one to several hardware threads with data, address and
// control units, the lock that they share, and the memory management unit with
// Linux's tables. Text prints any instruction as GNU objdump does.
//
// Not implemented, so that they end the guest by name: the DSP, the
// floating-point and trace units, the read pipeline, registers that threads
// share, triggers and interrupts, linked loads and stores.
//
// Sources: binutils 2.40 (include/opcode/metag.h for encodings), Linux 4.16
// arch/metag (registers, memory map, page tables), and for what flags and
// addresses become Imagination's own port of QEMU, target-meta of 2013; its
// technical reference manual was never published.
//
// The traps: a DSP's instructions share opcodes with the core's, so that the
// order of the encodings decides; a conditional instruction may name a register
// of any unit as its result; the program counter is an operand of the address
// units only.
package metag
