/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entry by Linux's 64-bit boot protocol, at a physical address with identity
 * page tables; rsi points to the boot parameters. A second CPU starts at
 * secondary. Both switch to the tables below and jump to the high half.
 */
	.set BASE, 0xffffffff80000000
	.set PRESENT, 0x3
	.set LARGE, 0x83

	.section .head.text, "ax"
	.globl entry, secondary
entry:
	movl	$(init_top_pgt - BASE), %eax
	movq	%rax, %cr3
	movq	$1f, %rax
	jmp	*%rax
1:	lgdt	gdt0_pointer
	movq	$stack0_top, %rsp
	xorl	%ebp, %ebp
	movq	%rsi, %rdi
	call	start_kernel
2:	hlt
	jmp	2b

secondary:
	movl	$(init_top_pgt - BASE), %eax
	movq	%rax, %cr3
	movq	$1f, %rax
	jmp	*%rax
1:	lgdt	gdt1_pointer
	movq	$stack1_top, %rsp
	xorl	%ebp, %ebp
	call	start_secondary
2:	hlt
	jmp	2b

	.text
	.globl __x86_return_thunk, __x86_return_thunk_end
	.type __x86_return_thunk, @function
__x86_return_thunk:
	ret
	int3
	.size __x86_return_thunk, 2

	/* Executes int1 or ud2 with no way to handle it. */
	.globl triple_fault
	.type triple_fault, @function
triple_fault:
	ud2
	.size triple_fault, 2

	/* Begins with instructions that a tracer has to step. */
	.globl flags_twice
	.type flags_twice, @function
flags_twice:
	pushfq
	popfq
	jmp	__x86_return_thunk
	.size flags_twice, . - flags_twice

	/*
	 * The kernel's map: the first 64 MiB at BASE, its own image included;
	 * 512 single pages in reverse order at BASE + 1 GiB; nothing else.
	 */
	.section .tables, "aw"
	.balign 4096
	.globl init_top_pgt
init_top_pgt:
	.quad	identity_pud - BASE + PRESENT
	.fill	510, 8, 0
	.quad	high_pud - BASE + PRESENT
identity_pud:
	.quad	kernel_pmd - BASE + PRESENT
	.fill	511, 8, 0
high_pud:
	.fill	510, 8, 0
	.quad	kernel_pmd - BASE + PRESENT
	.quad	pages_pmd - BASE + PRESENT
	.globl kernel_pmd
kernel_pmd:
	.set	i, 0
	.rept	32
	.quad	(i << 21) + LARGE
	.set	i, i + 1
	.endr
	.fill	480, 8, 0
pages_pmd:
	.quad	pages_pte - BASE + PRESENT
	.fill	511, 8, 0
pages_pte:
	.set	i, 511
	.rept	512
	.quad	0x2000000 + (i << 12) + PRESENT
	.set	i, i - 1
	.endr

	/*
	 * Each CPU has its own descriptor table, as under Linux: the loader's
	 * two segments, which stay loaded.
	 */
	.data
	.balign 16
gdt0:	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt1:	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt0_pointer:
	.word	4 * 8 - 1
	.quad	gdt0
gdt1_pointer:
	.word	4 * 8 - 1
	.quad	gdt1

	/* The running task's stack, as long as there is one CPU. */
	.globl task_stack
task_stack:
	.quad	stack0

	.bss
	.balign 16384
stack0:	.fill	16384, 1, 0
stack0_top:
	.fill	16384, 1, 0
stack1_top:

	.section .note.GNU-stack, "", @progbits
