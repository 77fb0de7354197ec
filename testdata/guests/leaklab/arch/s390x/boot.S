/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry as QEMU loads an ELF file: 64 bits, no translation. */
#include "link.h"

	.section .head.text, "ax"
	.globl _start
	.type _start, @function
_start:
	larl	%r15, __end_init_stack
	aghi	%r15, -304		/* a first frame, see arch.c */
	xc	0(256,%r15), 0(%r15)
	xc	256(48,%r15), 256(%r15)
	xc	0x348(8,%r0), 0x348	/* no per-CPU offset */
	brasl	%r14, start_kernel
	.size _start, . - _start

	/* Another CPU; its stack is vmalloc's, which takes translation. */
	.globl secondary_entry
	.type secondary_entry, @function
secondary_entry:
	larl	%r1, swapper_pg_dir
	oill	%r1, 7
	stg	%r1, 0x1000
	lctlg	%c1, %c1, 0x1000
	lctlg	%c13, %c13, 0x1000
	larl	%r1, secondary_psw
	lpswe	0(%r1)
1:	lg	%r15, 0x350
	brasl	%r14, start_secondary
	.size secondary_entry, . - secondary_entry

	.section .rodata
	.balign 8
secondary_psw:
	.quad	0x0400c00180000000	/* translated, in the home space */
	.quad	1b

	/* Each frame has room for the registers of what it calls. */
	.text
	.globl __switch_to
	.type __switch_to, @function
__switch_to:
	stmg	%r6, %r15, 48(%r15)
	stg	%r15, 0(%r2)
	lg	%r15, 0(%r3)
	lmg	%r6, %r15, 48(%r15)
	br	%r14
	.size __switch_to, . - __switch_to

	.globl ret_from_fork
	.type ret_from_fork, @function
ret_from_fork:
	brasl	%r14, kthread
	.size ret_from_fork, . - ret_from_fork

	.section .data..tables, "aw"
	.balign 16384
	.globl swapper_pg_dir
	.type swapper_pg_dir, @object
swapper_pg_dir:
	.fill	2048, 8, 0
	.size swapper_pg_dir, 16384

	.section .note.GNU-stack, "", @progbits
