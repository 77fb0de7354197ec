// SPDX-License-Identifier: GPL-2.0-or-later
#include "sched.h"

/* There is one CPU. */
static unsigned long cpu_offset;

unsigned long arch_cpu_offset(void) { return cpu_offset; }
void arch_set_cpu_offset(unsigned long offset) { cpu_offset = offset; }

/* The compiler leaves gp alone (-G0 -mno-abicalls). */
void arch_set_current(struct task_struct *p)
{
	__asm__ volatile("move $28, %0" : : "r"(&p->thread_info) : "memory");
}

/*
 * What __switch_to takes from a stack: s0 to s8, and where to go on. Each
 * function has room for four arguments above its frame.
 */
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void))
{
	unsigned long *sp = (unsigned long *)stack_top - 14;

	sp[9] = (unsigned long)entry;
	t->reg29 = (unsigned long)sp;
}

/*
 * The TLB, by MIPS32's privileged architecture (MD00090). The refill handler in
 * boot.S reads the tables at their symbol.
 */
#define mfc0(reg) ({ unsigned long __v; __asm__ volatile("mfc0 %0, " reg : "=r"(__v)); __v; })
#define mtc0(v, reg) __asm__ volatile("mtc0 %0, " reg "\n\tehb" : : "r"(v) : "memory")
#define ENTRYLO0 "$2"
#define ENTRYLO1 "$3"
#define ENTRYHI "$10"
#define INDEX "$0"

/* An entry that is never looked for, another one for each number. */
static void clear_entry(unsigned long index)
{
	mtc0(PAGE_OFFSET + (index << (PAGE_SHIFT + 1)), ENTRYHI);
	mtc0(0, ENTRYLO0);
	mtc0(0, ENTRYLO1);
	mtc0(index, INDEX);
	__asm__ volatile("tlbwi\n\tehb" : : : "memory");
	mtc0(0, ENTRYHI);
}

extern char exception_vectors[], exception_vectors_end[];

void arch_load_tables(unsigned long pa)
{
	const unsigned long entries = (mfc0("$16, 1") >> 25 & 63) + 1;

	memcpy((void *)PAGE_OFFSET, exception_vectors, exception_vectors_end - exception_vectors);
	/* QEMU has no caches: what was written is what is executed. */
	mtc0(0, "$5");	/* pages of 4 KB */
	mtc0(0, "$6");	/* all entries are for the refill handler */
	for (unsigned long i = 0; i < entries; i++)
		clear_entry(i);
}

void arch_flush_tlb(unsigned long va)
{
	long index;

	mtc0(va & ~(2 * PAGE_SIZE - 1), ENTRYHI);
	__asm__ volatile("tlbp\n\tehb" : : : "memory");
	index = mfc0(INDEX);
	if (index >= 0)
		clear_entry(index);
	mtc0(0, ENTRYHI);
}

void __noreturn bad_exception(void) { panic("exception"); }

/* The first serial port, a 16550, in KSEG1. */
void arch_write(const char *s)
{
	volatile u8 *port = (volatile u8 *)0xb80003f8;

	while (*s) {
		while (!(port[5] & 0x20))
			; /* not empty yet */
		port[0] = *s++;
	}
}

/* The board's SOFTRES register: Leakvisor takes a reset for the end. */
void arch_power_off(void)
{
	*(volatile u32 *)0xbf000500 = 0x42;
}
