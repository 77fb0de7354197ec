/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file's entry is that of Linux's 64-bit boot protocol, for Leakvisor's own
 * machine. QEMU takes the one that the note names, by the PVH protocol
 * (docs/misc/pvh.pandoc in Xen): in 32-bit mode without paging.
 */
#include "link.h"

	.set PRESENT, 0x3
	.set LARGE, 0x83
	.cfi_sections .debug_frame

	.section .note.Xen, "a", @note
	.balign 4
	.long	4, 8, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	pvh_start - LOAD_OFFSET

	.section .head.text, "ax"
	.globl _start
	.type _start, @function
_start:
	movl	$(early_top_pgt - LOAD_OFFSET), %eax
	movq	%rax, %cr3
	movq	$high_entry, %rax
	jmp	*%rax
	.size _start, . - _start

	.code32
	.type pvh_start, @function
pvh_start:
	cli
	cld
	movl	$(early_top_pgt - LOAD_OFFSET), %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	lgdt	gdt_pointer32 - LOAD_OFFSET
	movl	%cr0, %eax
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	ljmp	$0x10, $(1f - LOAD_OFFSET)
	.code64
1:	movq	$high_entry, %rax
	jmp	*%rax
	.size pvh_start, . - pvh_start

	.type high_entry, @function
high_entry:
	.cfi_startproc
	.cfi_undefined rip
	lgdt	gdt_pointer64
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movq	$__end_init_stack, %rsp
	xorl	%ebp, %ebp
	call	start_kernel
	.cfi_endproc
	.size high_entry, . - high_entry

	/*
	 * Another CPU, at 0x8000: to 64-bit mode on the first tables, which have
	 * that at its own place, and from there to the kernel's.
	 */
	.section .rodata
	.globl secondary_start, secondary_end
	.code16
secondary_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	gdt_pointer_low - secondary_start + 0x8000
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$0x20, $(1f - secondary_start + 0x8000)
	.code32
1:	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %ss
	movl	$(early_top_pgt - LOAD_OFFSET), %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x20, %eax
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	ljmp	$0x10, $(2f - secondary_start + 0x8000)
	.code64
2:	movq	$high_secondary, %rax
	jmp	*%rax
gdt_pointer_low:
	.word	5 * 8 - 1
	.long	gdt - LOAD_OFFSET
secondary_end:

	.section .head.text, "ax"
	.type high_secondary, @function
high_secondary:
	.cfi_startproc
	.cfi_undefined rip
	movq	$(swapper_pg_dir - LOAD_OFFSET), %rax
	movq	%rax, %cr3
	lgdt	gdt_pointer64
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	secondary_offset, %eax
	movl	secondary_offset + 4, %edx
	movl	$0xc0000101, %ecx	/* GS_BASE */
	wrmsr
	xorl	%ebp, %ebp
	movq	secondary_stack, %rsp
	call	start_secondary
	.cfi_endproc
	.size high_secondary, . - high_secondary

	/* Functions begin with a nop and return by a jump to here, as Linux's do. */
	.text
	.globl __x86_return_thunk
	.type __x86_return_thunk, @function
__x86_return_thunk:
	.cfi_startproc
	ret
	int3
	.cfi_endproc
	.size __x86_return_thunk, . - __x86_return_thunk

	.globl __switch_to
	.type __switch_to, @function
__switch_to:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	movq	%rsp, (%rdi)
	movq	(%rsi), %rsp
	popq	%r15
	.cfi_adjust_cfa_offset -8
	popq	%r14
	.cfi_adjust_cfa_offset -8
	popq	%r13
	.cfi_adjust_cfa_offset -8
	popq	%r12
	.cfi_adjust_cfa_offset -8
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size __switch_to, . - __switch_to

	.globl ret_from_fork
	.type ret_from_fork, @function
ret_from_fork:
	.cfi_startproc
	.cfi_undefined rip
	call	kthread
	.cfi_endproc
	.size ret_from_fork, . - ret_from_fork

	/*
	 * The first gigabyte of memory at zero, in the direct map and, its half,
	 * where the image is; then the kernel's own tables, still empty.
	 */
	.section .data..tables, "aw"
	.balign 4096
early_top_pgt:
	.quad	low_pud - LOAD_OFFSET + PRESENT
	.fill	272, 8, 0
	.quad	low_pud - LOAD_OFFSET + PRESENT
	.fill	237, 8, 0
	.quad	high_pud - LOAD_OFFSET + PRESENT
low_pud:
	.quad	early_pmd - LOAD_OFFSET + PRESENT
	.fill	511, 8, 0
high_pud:
	.fill	510, 8, 0
	.quad	early_pmd - LOAD_OFFSET + PRESENT
	.quad	0
early_pmd:
	.set	i, 0
	.rept	512
	.quad	(i << 21) + LARGE
	.set	i, i + 1
	.endr
	.globl swapper_pg_dir
	.type swapper_pg_dir, @object
swapper_pg_dir:
	.fill	512, 8, 0
	.size swapper_pg_dir, 4096

	.data
	.balign 16
gdt:	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdt_pointer32:
	.word	5 * 8 - 1
	.long	gdt - LOAD_OFFSET
gdt_pointer64:
	.word	5 * 8 - 1
	.quad	gdt

	.section .note.GNU-stack, "", @progbits
