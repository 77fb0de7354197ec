/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry in KSEG0, as QEMU's boot loader leaves it. */
#include "link.h"

	.set noreorder
	.set noat
	.cfi_sections .debug_frame

	.section .head.text, "ax"
	.globl _start
	.type _start, @function
	.ent _start
_start:
	.cfi_startproc
	.cfi_undefined 31
	lui	$t0, 0x1000		/* coprocessor 0, no exception, no ROM vectors */
	mtc0	$t0, $12
	ehb
	lui	$sp, %hi(__end_init_stack - 32)
	addiu	$sp, $sp, %lo(__end_init_stack - 32)
	move	$gp, $zero
	move	$s8, $zero
	jal	start_kernel
	nop
	.cfi_endproc
	.end _start
	.size _start, . - _start

	.text
	.globl __switch_to
	.type __switch_to, @function
	.ent __switch_to
__switch_to:
	addiu	$sp, $sp, -40
	sw	$s0, 0($sp)
	sw	$s1, 4($sp)
	sw	$s2, 8($sp)
	sw	$s3, 12($sp)
	sw	$s4, 16($sp)
	sw	$s5, 20($sp)
	sw	$s6, 24($sp)
	sw	$s7, 28($sp)
	sw	$s8, 32($sp)
	sw	$ra, 36($sp)
	sw	$sp, 0($a0)
	lw	$sp, 0($a1)
	lw	$s0, 0($sp)
	lw	$s1, 4($sp)
	lw	$s2, 8($sp)
	lw	$s3, 12($sp)
	lw	$s4, 16($sp)
	lw	$s5, 20($sp)
	lw	$s6, 24($sp)
	lw	$s7, 28($sp)
	lw	$s8, 32($sp)
	lw	$ra, 36($sp)
	jr	$ra
	addiu	$sp, $sp, 40
	.end __switch_to
	.size __switch_to, . - __switch_to

	.globl ret_from_fork
	.type ret_from_fork, @function
	.ent ret_from_fork
ret_from_fork:
	.cfi_startproc
	.cfi_undefined 31
	jal	kthread
	nop
	.cfi_endproc
	.end ret_from_fork
	.size ret_from_fork, . - ret_from_fork

	/*
	 * Copied to the start of KSEG0: the refill handler, which needs both of a
	 * pair of entries, and what takes all other exceptions.
	 */
	.globl exception_vectors, exception_vectors_end
exception_vectors:
	mfc0	$k0, $8			/* the address */
	lui	$k1, %hi(swapper_pg_dir)
	srl	$k0, $k0, 22
	sll	$k0, $k0, 2
	addu	$k1, $k1, $k0
	mfc0	$k0, $4			/* its bits from 13 on, from bit 4 on */
	lw	$k1, %lo(swapper_pg_dir)($k1)
	srl	$k0, $k0, 1
	andi	$k0, $k0, 0xff8
	addu	$k1, $k1, $k0
	lw	$k0, 0($k1)
	lw	$k1, 4($k1)
	srl	$k0, $k0, 6
	mtc0	$k0, $2
	srl	$k1, $k1, 6
	mtc0	$k1, $3
	ehb
	tlbwr
	eret
	.org	exception_vectors + 0x180
	lui	$k0, %hi(bad_exception)
	addiu	$k0, $k0, %lo(bad_exception)
	jr	$k0
	nop
exception_vectors_end:

	.section .data..tables, "aw"
	.balign 4096
	.globl swapper_pg_dir
	.type swapper_pg_dir, @object
swapper_pg_dir:
	.fill	1024, 4, 0
	.size swapper_pg_dir, 4096

	.section .note.GNU-stack, "", @progbits
