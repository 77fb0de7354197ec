// Package metag knows the instructions of Imagination's Meta core, as far as
// its second generation runs Linux with them: Text prints each as GNU objdump
// does.
//
// Sources: binutils 2.40 (include/opcode/metag.h has the encodings that GNU as
// and objdump agree on, gas/testsuite/gas/metag what they mean in writing).
//
// The trap: a DSP's instructions share opcodes with the core's, so that the
// order of the encodings decides.
package metag
