// Package microblaze holds the rows of MicroBlaze, of both byte orders.
//
// Sources: MicroBlaze Processor Reference Guide UG984 (encodings, calling
// convention), Linux 6.1 arch/microblaze/include/asm/{pgtable,page,processor,
// thread_info,current}.h and kernel/unwind.c, QEMU 10 gdb-xml/
// microblaze-core.xml and hw/microblaze/petalogix_s3adsp1800_mmu.c.
//
// The traps: a call leaves its own address in the link register, so that
// functions return 8 bytes behind what that says; the instruction in the delay
// slot of a return runs before what is returned to, and mostly takes the frame
// down; a displacement of more than 16 bits has its upper half in an
// instruction of its own; and there is no frame pointer.
package microblaze
