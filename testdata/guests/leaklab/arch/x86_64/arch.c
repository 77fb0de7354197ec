// SPDX-License-Identifier: GPL-2.0-or-later
#include "sched.h"

/* Where Linux keeps the running task, and the offset for one's own use. */
DEFINE_PER_CPU(struct task_struct *, current_task);
DEFINE_PER_CPU(unsigned long, this_cpu_off);

unsigned long arch_cpu_offset(void)
{
	unsigned long v;

	__asm__ volatile("mov %%gs:this_cpu_off, %0" : "=r"(v));
	return v;
}

void arch_set_cpu_offset(unsigned long offset)
{
	const unsigned int gs_base = 0xc0000101;

	__asm__ volatile("wrmsr" : : "c"(gs_base), "a"((u32)offset), "d"((u32)(offset >> 32)) : "memory");
	__asm__ volatile("mov %0, %%gs:this_cpu_off" : : "r"(offset) : "memory");
}

void arch_set_current(struct task_struct *p)
{
	__asm__ volatile("mov %0, %%gs:current_task" : : "r"(p) : "memory");
}

/* What __switch_to takes from a stack: six registers, and where to go on. */
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void))
{
	unsigned long *sp = (unsigned long *)stack_top - 7;

	sp[6] = (unsigned long)entry;
	t->sp = (unsigned long)sp;
}

/* The first serial port, a 16550. */
#define COM1 0x3f8

static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline u8 inb(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void outw(u16 port, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }

void arch_console_init(void)
{
	outb(COM1 + 2, 1); /* the FIFO, of 16 bytes */
}

void arch_write(const char *s)
{
	for (unsigned int n = 0; s[n]; n++) {
		while (n % 16 == 0 && !(inb(COM1 + 5) & 0x20))
			; /* not empty yet */
		outb(COM1, s[n]);
	}
}

/* ACPI's sleep state 5: of QEMU's PC, and of Leakvisor's own machine. */
void arch_power_off(void)
{
	outw(0x604, 1 << 13);
	outw(0x604, 1 << 13 | 5 << 10);
}
