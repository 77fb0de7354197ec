/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry as hv/emu starts an ELF file: at a physical address, not translated. */
#include "link.h"

	.cfi_sections .debug_frame

	.macro phys reg, symbol
	moveli	\reg, hw1_last(\symbol - LOAD_OFFSET)
	shl16insli \reg, \reg, hw0(\symbol - LOAD_OFFSET)
	.endm

	.macro address reg, symbol
	moveli	\reg, hw2_last(\symbol)
	shl16insli \reg, \reg, hw1(\symbol)
	shl16insli \reg, \reg, hw0(\symbol)
	.endm

	/*
	 * The first tables map 32 MB in huge pages, at their own place, in the
	 * direct map and where the image is: three entries of the outermost table
	 * name one table of the next level.
	 */
	.section .head.text, "ax"
	.globl	_start
	.type	_start, @function
_start:
	phys	r1, early_pg_dir
	phys	r2, early_pmd
	shli	r3, r2, 24
	addi	r3, r3, 1
	st	r1, r3			/* 0 */
	addli	r4, r1, 8 * 512		/* 0xfffffe0000000000 */
	st	r4, r3
	addli	r4, r4, 8 * (1015 - 512) /* 0xfffffff700000000 */
	st	r4, r3
	moveli	r5, 0x101		/* present, a huge page */
	movei	r6, 1
	shli	r6, r6, 48		/* 16 MB */
	add	r6, r6, r5
	st	r2, r5
	addi	r4, r2, 8
	st	r4, r6
	move	r0, r1
	movei	r10, 2			/* hv_install_context */
	swint2
	address	r1, high_entry
	jr	r1
	.size	_start, . - _start

	.type	high_entry, @function
high_entry:
	.cfi_startproc
	.cfi_undefined 55
	address	r1, __end_init_stack
	addi	sp, r1, -16
	move	tp, zero
	move	r52, zero
	move	lr, zero
	jal	start_kernel
	.cfi_endproc
	.size	high_entry, . - high_entry

	/* As the device starts another CPU, with its stack pointer set. */
	.globl	secondary_entry
	.type	secondary_entry, @function
secondary_entry:
	phys	r0, early_pg_dir
	movei	r10, 2			/* hv_install_context */
	swint2
	address	r1, high_secondary
	jr	r1
	.size	secondary_entry, . - secondary_entry

	.type	high_secondary, @function
high_secondary:
	.cfi_startproc
	.cfi_undefined 55
	phys	r0, swapper_pg_dir
	swint2
	address	r1, secondary_offset
	ld	tp, r1
	move	r52, zero
	move	lr, zero
	jal	start_secondary
	.cfi_endproc
	.size	high_secondary, . - high_secondary

	.text
	.globl	__switch_to
	.type	__switch_to, @function
__switch_to:
	addli	sp, sp, -26 * 8
	addi	r2, sp, 16
	.irp	reg, r30, r31, r32, r33, r34, r35, r36, r37, r38, r39, r40, r41, r42, r43, r44, r45, r46, r47, r48, r49, r50, r51, r52, lr
	st_add	r2, \reg, 8
	.endr
	st	r0, sp
	ld	sp, r1
	addi	r2, sp, 16
	.irp	reg, r30, r31, r32, r33, r34, r35, r36, r37, r38, r39, r40, r41, r42, r43, r44, r45, r46, r47, r48, r49, r50, r51, r52, lr
	ld_add	\reg, r2, 8
	.endr
	addli	sp, sp, 26 * 8
	jrp	lr
	.size	__switch_to, . - __switch_to

	.globl	ret_from_fork
	.type	ret_from_fork, @function
ret_from_fork:
	.cfi_startproc
	.cfi_undefined 55
	jal	kthread
	.cfi_endproc
	.size	ret_from_fork, . - ret_from_fork

	.section .data..tables, "aw"
	.balign	8192
	.globl	swapper_pg_dir
	.type	swapper_pg_dir, @object
swapper_pg_dir:
	.fill	1024, 8, 0
	.size	swapper_pg_dir, 8192
early_pg_dir:
	.fill	1024, 8, 0
early_pmd:
	.fill	256, 8, 0

	.section .note.GNU-stack, "", @progbits
