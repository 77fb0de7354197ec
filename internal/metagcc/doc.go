// Metagcc compiles C for Imagination Meta, which GCC never was released for. It
// takes the place of metag-linux-gcc beside the binutils that
// scripts/toolchain/metag.sh builds:
//
//	metagcc [GCC'S OPTIONS] FILES
//
// The C is compiled by Debian's GCC for a RISC-V processor with 16 registers
// (rv32em), and its assembly translated, instruction by instruction, to Meta's;
// debug information and line numbers pass through. Both have 32-bit little-endian
// words and the same sizes and alignments of types.
//
// Registers and calls become those of Meta's ABI: arguments in D1Ar1 to D0Ar6,
// the result in D0Re0, the return address in D1RtP. Frames are turned over, as
// Meta's stacks grow upward: a function that calls others keeps struct
// metag_frame below its own frame, with A0FrP at it. So code is as a compiler
// would make it, but longer.
//
// It knows what GCC makes of the guests' C and refuses all else, by line.
package main
