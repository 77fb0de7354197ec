// Package tilegx interprets TILE-Gx, Tilera's 64-bit processor: bundles of two
// or three instructions in 64 bits, which read all their registers before any
// is written.
//
// Sources: binutils' opcodes/tilegx-opc.c (2.40) for how instructions are
// encoded (tables.go is made of it by gen), Linux 4.14's arch/tile for how a
// kernel uses them. What they do is as in "TILE-Gx Instruction Set Architecture"
// (UG401), of which no copy was at hand, and in QEMU's former target/tilegx; it is
// tested by random C programs, which have to print what they print on the host.
//
// The CPU runs as Linux does, at protection level 1, and what is below it is
// the Tilera hypervisor: the MMU has no page tables, the hypervisor fills its
// TLB from those that Linux gave it. Here "swint2" calls the hypervisor with
// the number of the call in r10, which is the call's place in the table of
// Linux's arch/tile/kernel/hvglue.S; see hypervisor.go for those that there are.
// Until the first hv_install_context addresses are physical.
//
// There are no interrupts, no floating point and none of the networks: they end
// the guest with the instruction's name.
package tilegx
