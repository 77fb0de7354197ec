// SPDX-License-Identifier: GPL-2.0-or-later
#include "sched.h"

void arch_set_current(struct task_struct *p) { __asm__ volatile("msr sp_el0, %0" : : "r"(p) : "memory"); }

/* What __switch_to takes from a stack: x19 to x30, the last where to go on. */
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void))
{
	unsigned long *sp = (unsigned long *)stack_top - 12;

	sp[11] = (unsigned long)entry;
	t->cpu_context.sp = (unsigned long)sp;
}

/* The PL011 of the virt machine. */
void arch_map_devices(void)
{
	const unsigned long uart = 0x09000000;

	map_page(UART_START, pt_device(uart));
}

void arch_write(const char *s)
{
	volatile u32 *uart = (volatile u32 *)UART_START;

	while (*s) {
		while (uart[6] & 0x20)
			; /* full */
		uart[0] = *s++;
	}
}

/* PSCI's SYSTEM_OFF, ARM DEN 0022. */
void arch_power_off(void)
{
	register unsigned long x0 __asm__("x0") = 0x84000008;

	__asm__ volatile("hvc #0" : "+r"(x0) : : "memory");
}

void __noreturn bad_exception(void) { panic("exception"); }
