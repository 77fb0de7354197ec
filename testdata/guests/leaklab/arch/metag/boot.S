/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry as hv/emu starts an ELF file: at a physical address, not translated. */
#include "link.h"

	/* The first tables map 32 MB in pages of 4 MB, as CONFIG_KERNEL_4M_PAGES has
	   them: at their own place and in the direct map. */
	.section .head.text, "ax"
	.global	__start
	.type	__start, function
__start:
	MOV	D0Re0, TXENABLE			! which has the number of the thread
	AND	D0Re0, D0Re0, #0x300
	LSR	D0Re0, D0Re0, #3
	MOVT	A0.2, #HI(0x04830700)		! MMCU_T0LOCAL_TABLE_PHYS0
	ADD	A0.2, A0.2, #LO(0x04830700)
	ADD	A0.2, A0.2, D0Re0
	MOV	D1.5, D0Re0
	MOVT	D0Re0, #HI(early_pg_dir - LOAD_OFFSET)
	ADD	D0Re0, D0Re0, #LO(early_pg_dir - LOAD_OFFSET)
	SETD	[A0.2 + #8], D0Re0		! PHYS1
	MOV	D0Re0, #0x9c7			! 2 GB, cached, privileged, writable, valid
	SETD	[A0.2], D0Re0
	MOVT	D1RtP, #HI(high_entry)
	JUMP	D1RtP, #LO(high_entry)
	.size	__start, . - __start

	.type	high_entry, function
high_entry:
	MOV	A0FrP, #0
	CMP	D1.5, #0
	BNE	1f
	MOVT	A0StP, #HI(__start_init_stack)
	ADD	A0StP, A0StP, #LO(__start_init_stack)
	ADD	A0StP, A0StP, #16		! behind struct thread_info
	CALLR	D1RtP, _start_kernel
1:	MOVT	D1Ar1, #HI(_swapper_pg_dir - LOAD_OFFSET)
	ADD	D1Ar1, D1Ar1, #LO(_swapper_pg_dir - LOAD_OFFSET)
	CALLR	D1RtP, _arch_load_tables
	CALLR	D1RtP, _secondary_init		! on the stack that it was given
	.size	high_entry, . - high_entry

	.text
	.global	_arch_load_tables
	.type	_arch_load_tables, function
_arch_load_tables:
	MOV	D0Re0, TXENABLE
	AND	D0Re0, D0Re0, #0x300
	LSR	D0Re0, D0Re0, #3
	MOVT	A0.2, #HI(0x04830708)		! MMCU_T0LOCAL_TABLE_PHYS1
	ADD	A0.2, A0.2, #LO(0x04830708)
	ADD	A0.2, A0.2, D0Re0
	SETD	[A0.2], D1Ar1
	MOV	PC, D1RtP
	.size	_arch_load_tables, . - _arch_load_tables

	/* A thread's own register that nothing else uses has its offset. */
	.global	_arch_cpu_offset
	.type	_arch_cpu_offset, function
_arch_cpu_offset:
	MOV	D0Re0, A1LbP
	MOV	PC, D1RtP
	.size	_arch_cpu_offset, . - _arch_cpu_offset

	.global	_arch_set_cpu_offset
	.type	_arch_set_cpu_offset, function
_arch_set_cpu_offset:
	MOV	A1LbP, D1Ar1
	MOV	PC, D1RtP
	.size	_arch_set_cpu_offset, . - _arch_set_cpu_offset

	/* What GCC calls where a processor has no such instruction. */
	.global	___atomic_exchange_4
	.type	___atomic_exchange_4, function
___atomic_exchange_4:
	MOV	A0.2, D1Ar1
	LOCK1
	GETD	D0Re0, [A0.2]
	SETD	[A0.2], D0Ar2
	LOCK0
	MOV	PC, D1RtP
	.size	___atomic_exchange_4, . - ___atomic_exchange_4

	.global	___switch_to
	.type	___switch_to, function
___switch_to:
	MOV	A0.2, D1Ar1
	MOV	A0.3, D0Ar2
	MOV	D0FrT, A0FrP
	MOV	D0Re0, A0StP
	SETD	[A0.2], D0Re0
	MSETL	[A0StP], D0.5, D0.6, D0.7
	SETL	[A0StP++], D0FrT, D1RtP
	GETD	A0StP, [A0.3]
	MGETL	D0.5, D0.6, D0.7, [A0StP]
	GETL	D0FrT, D1RtP, [A0StP]
	SUB	A0StP, A0StP, #24
	MOV	A0FrP, D0FrT
	MOV	PC, D1RtP
	.size	___switch_to, . - ___switch_to

	.global	_ret_from_fork
	.type	_ret_from_fork, function
_ret_from_fork:
	CALLR	D1RtP, _kthread
	.size	_ret_from_fork, . - _ret_from_fork

	.section .data..tables, "aw"
	.balign	4096
	.global	_swapper_pg_dir
	.type	_swapper_pg_dir, object
_swapper_pg_dir:
	.fill	512, 4, 0
	.size	_swapper_pg_dir, 2048
	.balign	4096
early_pg_dir:
	.fill	64, 4, 0
	.set	i, 0
	.rept	8
	.long	early_pages + 64 * i - LOAD_OFFSET + 0x15
	.set	i, i + 1
	.endr
	.fill	256 - 64 - 8, 4, 0
	.set	i, 0
	.rept	8
	.long	early_pages + 64 * i - LOAD_OFFSET + 0x15
	.set	i, i + 1
	.endr
	.fill	256 - 8, 4, 0
	.balign	64
early_pages:
	.set	i, 0
	.rept	8
	.long	0x100000cf + (i << 22)
	.fill	15, 4, 0
	.set	i, i + 1
	.endr
