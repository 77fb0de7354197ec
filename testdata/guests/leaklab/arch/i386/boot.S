/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry by the Multiboot specification, 0.6.96: 32-bit mode without paging. */
#include "link.h"

	.set MULTIBOOT, 0x1badb002
	.set LARGE, 0x83

	.section .head.text, "ax"
	.long	MULTIBOOT, 0, -MULTIBOOT
	.globl _start
	.type _start, @function
_start:
	cli
	cld
	movl	$(early_pg_dir - LOAD_OFFSET), %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x10, %eax		/* pages of 4 MiB */
	movl	%eax, %cr4
	movl	%cr0, %eax
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	movl	$1f, %eax
	jmp	*%eax
1:	lgdt	gdt_pointer
	ljmp	$0x10, $2f
2:	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %gs
	movl	$0x20, %eax
	movl	%eax, %fs
	movl	$__end_init_stack, %esp
	xorl	%ebp, %ebp
	call	start_kernel
	.size _start, . - _start

	.text
	.globl __switch_to
	.type __switch_to, @function
__switch_to:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, (%eax)
	movl	(%edx), %esp
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret
	.size __switch_to, . - __switch_to

	.globl ret_from_fork
	.type ret_from_fork, @function
ret_from_fork:
	call	kthread
	.size ret_from_fork, . - ret_from_fork

	/* The first tables have 32 MiB at zero and in the direct map. */
	.section .data..tables, "aw"
	.balign 4096
early_pg_dir:
	.set	half, 0
	.rept	2
	.set	i, 0
	.rept	8
	.long	(i << 22) + LARGE
	.set	i, i + 1
	.endr
	.fill	760 - half * 512, 4, 0
	.set	half, half + 1
	.endr
	.globl swapper_pg_dir
	.type swapper_pg_dir, @object
swapper_pg_dir:
	.fill	1024, 4, 0
	.size swapper_pg_dir, 4096

	.data
	.balign 16
	.globl percpu_segment
gdt:	.quad	0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
percpu_segment:
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	5 * 8 - 1
	.long	gdt

	.section .note.GNU-stack, "", @progbits
