// SPDX-License-Identifier: GPL-2.0-or-later
#include "sched.h"

/* Where Linux keeps the running task, and the offset for one's own use. */
DEFINE_PER_CPU(struct task_struct *, current_task);
DEFINE_PER_CPU(unsigned long, this_cpu_off);

/* The descriptor of the per-CPU segment, number 4 (boot.S). */
extern u8 percpu_segment[8];

unsigned long arch_cpu_offset(void)
{
	unsigned long v;

	__asm__ volatile("mov %%fs:this_cpu_off, %0" : "=r"(v));
	return v;
}

void arch_set_cpu_offset(unsigned long offset)
{
	percpu_segment[2] = offset;
	percpu_segment[3] = offset >> 8;
	percpu_segment[4] = offset >> 16;
	percpu_segment[7] = offset >> 24;
	__asm__ volatile("mov %0, %%fs" : : "r"(4 * 8) : "memory");
	__asm__ volatile("mov %0, %%fs:this_cpu_off" : : "r"(offset) : "memory");
}

void arch_set_current(struct task_struct *p)
{
	__asm__ volatile("mov %0, %%fs:current_task" : : "r"(p) : "memory");
}

/* What __switch_to takes from a stack: four registers, and where to go on. */
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void))
{
	unsigned long *sp = (unsigned long *)stack_top - 5;

	sp[4] = (unsigned long)entry;
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

/* ACPI's sleep state 5, of QEMU's PC. */
void arch_power_off(void)
{
	outw(0x604, 1 << 13);
}
