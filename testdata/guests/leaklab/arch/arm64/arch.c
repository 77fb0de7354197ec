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

/* PSCI's CPU_ON: the second CPU of the virt machine is number 1. */
extern char secondary_entry[];
unsigned long secondary_stack, secondary_offset, secondary_task;

int arch_boot_cpu(int cpu, struct task_struct *idle)
{
	register unsigned long x0 __asm__("x0") = 0xc4000003;
	register unsigned long x1 __asm__("x1") = cpu;
	register unsigned long x2 __asm__("x2") = __pa_symbol(secondary_entry);
	register unsigned long x3 __asm__("x3") = 0;

	secondary_stack = (unsigned long)idle->stack + THREAD_SIZE;
	secondary_offset = __per_cpu_offset[cpu];
	secondary_task = (unsigned long)idle;
	__asm__ volatile("dsb sy\n\thvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

void __noreturn bad_exception(void) { panic("exception"); }
