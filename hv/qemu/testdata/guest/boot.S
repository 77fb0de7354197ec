/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A freestanding x86-64 guest for tests of package qemu: booted by PVH
 * (32-bit protected mode, no paging), it maps the first 4 GiB at 0 and the
 * first GiB at 0xffffffff80000000, goes there, and calls guest_main on each
 * CPU. The functions to hook are here, so that their exits have names.
 */
	.set HIGH, 0xffffffff80000000
	.set TRAMPOLINE, 0x8000

	.section .note.pvh, "a", @note
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start32

	.section .boot, "ax"
	.code32
	.globl start32
start32:
	cli
	mov	%ebx, start_info
	/* Page directories of 2 MiB pages for 4 GiB. */
	mov	$pd, %edi
	mov	$0x83, %eax
	mov	$2048, %ecx
1:	mov	%eax, (%edi)
	movl	$0, 4(%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	1b
	mov	$pdpt, %edi
	mov	$pd + 3, %eax
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$0x1000, %eax
	add	$8, %edi
	loop	1b
	movl	$pd + 3, pdpt_high + 510 * 8
	movl	$pdpt + 3, pml4
	movl	$pdpt_high + 3, pml4 + 511 * 8
enter64:
	mov	%cr4, %eax
	or	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax
	mov	%eax, %cr0
	lgdt	gdtr
	ljmp	$8, $start64
	.code64
start64:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	movabs	$high_start, %rax
	jmp	*%rax

	.balign 16
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdtr:	.word 31
	.long gdt
start_info: .long 0
	.globl start_info

	/* Other CPUs start here in real mode, copied to TRAMPOLINE. */
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	TRAMPOLINE + (tgdtr - trampoline)
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$24, $TRAMPOLINE + (t32 - trampoline)
	.code32
t32:	mov	$16, %eax
	mov	%eax, %ds
	ljmp	$24, $enter64
tgdtr:	.word 31
	.long gdt
trampoline_end:

	.section .boot.bss, "aw", @nobits
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 4096
pdpt_high: .skip 4096
pd:	.skip 4 * 4096

	.text
	.code64
	.globl high_start
high_start:
	mov	$1, %eax
	lock xadd %eax, cpus_started(%rip)
	mov	%eax, %edi
	inc	%eax
	shl	$14, %rax		/* stacks of 16 KiB */
	lea	stacks(%rip), %rsp
	add	%rax, %rsp
	xor	%ebp, %ebp
	call	guest_main
1:	hlt
	jmp	1b

	/* uint64_t fn_plain(a, b, c, d, e, f): a + 1 */
	.globl fn_plain, fn_plain_exit
fn_plain:
	nopl	0(%rax,%rax)
	lea	1(%rdi), %rax
fn_plain_exit:
	ret

	/* fn_outer calls fn_plain, then goes on as fn_tail: a + 2 */
	.globl fn_outer, fn_tail, fn_tail_exit
fn_outer:
	push	%rdi
	call	fn_plain
	pop	%rdi
	jmp	fn_tail
fn_tail:
	lea	2(%rdi), %rax
	push	%rbx
	pop	%rbx
fn_tail_exit:
	ret

	/* The first instruction is the exit. */
	.globl fn_bare
fn_bare:
	ret

	/* fn_fill(n, array): fills n words, returns n - 1 */
	.globl fn_fill, fn_fill_exit
fn_fill:
	xor	%eax, %eax
1:	cmp	%rdi, %rax
	jae	2f
	lea	1000(%rax), %rcx
	mov	%rcx, (%rsi,%rax,8)
	inc	%rax
	jmp	1b
2:	dec	%rax
fn_fill_exit:
	ret

	/* fn_sync(counter): one more */
	.globl fn_sync, fn_sync_next
fn_sync:
	incq	(%rdi)
	jmp	fn_sync_next
	.balign 16
fn_sync_next:
	incq	8(%rdi)
	ret

	/* fn_stack: calls fn_plain with a known stack: 64 words */
	.globl fn_stack, fn_stack_return
fn_stack:
	mov	$64, %ecx
1:	mov	%ecx, %eax
	shl	$8, %rax
	push	%rax
	loop	1b
	call	fn_plain
fn_stack_return:
	add	$512, %rsp
	ret

	/* fn_triple: no handler for the fault, none for its fault */
	.globl fn_triple
fn_triple:
	lidt	no_idt(%rip)
	ud2
no_idt:	.word 0
	.quad 0

	.bss
	.balign 16384
	.globl stacks
stacks:	.skip 16 * 16384
	.balign 64
	.globl cpus_started
cpus_started: .long 0
