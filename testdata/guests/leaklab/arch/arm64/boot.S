/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry as QEMU starts an ELF file: at EL1, the MMU off. */
#include "link.h"

	.cfi_sections .debug_frame
	.set BLOCK, 0x701	/* of memory; see pt_page */
	.set TABLE, 3

	.macro phys reg, symbol
	ldr	\reg, =\symbol - LOAD_OFFSET
	.endm

	.section .head.text, "ax"
	.globl _start
	.type _start, %function
_start:
	phys	x0, early_pg_dir
	ldr	x2, =high_entry
	b	enable_mmu
	.size _start, . - _start

	/* As PSCI starts another CPU. */
	.globl secondary_entry
	.type secondary_entry, %function
secondary_entry:
	phys	x0, swapper_pg_dir
	ldr	x2, =high_secondary
	b	enable_mmu
	.size secondary_entry, . - secondary_entry

	/* With the kernel's tables in x0; goes on at x2. */
	.type enable_mmu, %function
enable_mmu:
	msr	ttbr1_el1, x0
	phys	x0, idmap_pg_dir
	msr	ttbr0_el1, x0
	mov	x0, #0xff		/* attribute 0: memory, 1: device nGnRnE */
	msr	mair_el1, x0
	/* 48 bits and 4 KB for both; cached, inner shareable; 40 bits physical. */
	ldr	x0, =(16 | 16 << 16 | 0x3500 | 0x3500 << 16 | 2 << 30 | 2 << 32)
	msr	tcr_el1, x0
	isb
	tlbi	vmalle1
	dsb	ish
	mrs	x0, sctlr_el1
	ldr	x1, =0x1005		/* MMU and caches */
	orr	x0, x0, x1
	msr	sctlr_el1, x0
	isb
	br	x2
	.size enable_mmu, . - enable_mmu

	.type high_entry, %function
high_entry:
	.cfi_startproc
	.cfi_undefined x30
	ldr	x0, =vectors
	msr	vbar_el1, x0
	ldr	x0, =__end_init_stack
	mov	sp, x0
	msr	tpidr_el1, xzr
	mov	x29, xzr
	mov	x30, xzr
	bl	start_kernel
	.cfi_endproc
	.size high_entry, . - high_entry

	.type high_secondary, %function
high_secondary:
	.cfi_startproc
	.cfi_undefined x30
	ldr	x0, =vectors
	msr	vbar_el1, x0
	ldr	x0, =secondary_offset
	ldr	x0, [x0]
	msr	tpidr_el1, x0
	ldr	x0, =secondary_task
	ldr	x0, [x0]
	msr	sp_el0, x0
	ldr	x0, =secondary_stack
	ldr	x0, [x0]
	mov	sp, x0
	mov	x29, xzr
	mov	x30, xzr
	bl	start_secondary
	.cfi_endproc
	.size high_secondary, . - high_secondary
	.ltorg

	.text
	.globl __switch_to
	.type __switch_to, %function
__switch_to:
	stp	x19, x20, [sp, #-96]!
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	mov	x9, sp
	str	x9, [x0]
	ldr	x9, [x1]
	mov	sp, x9
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	x19, x20, [sp], #96
	ret
	.size __switch_to, . - __switch_to

	.globl ret_from_fork
	.type ret_from_fork, %function
ret_from_fork:
	.cfi_startproc
	.cfi_undefined x30
	bl	kthread
	.cfi_endproc
	.size ret_from_fork, . - ret_from_fork

	/* No exception is expected. */
	.balign 2048
vectors:
	.rept	16
	.balign	128
	bl	bad_exception
	.endr

	/*
	 * The first tables map the gigabyte with the RAM: at its own place, in
	 * the direct map and where the image is. Then the kernel's own, empty.
	 */
	.section .data..tables, "aw"
	.balign 4096
	.globl idmap_pg_dir
	.type idmap_pg_dir, %object
idmap_pg_dir:
	.quad	idmap_pud - LOAD_OFFSET + TABLE
	.fill	511, 8, 0
	.size idmap_pg_dir, 4096
idmap_pud:
	.quad	0, 0x40000000 + BLOCK
	.fill	510, 8, 0
early_pg_dir:
	.quad	early_pud - LOAD_OFFSET + TABLE
	.fill	255, 8, 0
	.quad	early_pud - LOAD_OFFSET + TABLE
	.fill	255, 8, 0
early_pud:
	.quad	0x40000000 + BLOCK
	.fill	511, 8, 0
	.globl swapper_pg_dir
	.type swapper_pg_dir, %object
swapper_pg_dir:
	.fill	512, 8, 0
	.size swapper_pg_dir, 4096

	.section .note.GNU-stack, "", %progbits
