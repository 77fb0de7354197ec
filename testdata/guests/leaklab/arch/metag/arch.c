// SPDX-License-Identifier: GPL-2.0-or-later
#include "sched.h"

/* Where physical address zero is in the direct map (arch/metag/kernel/setup.c). */
unsigned int meta_memoffset = PAGE_OFFSET - PHYS_OFFSET;

/* Linux finds the running task at its stack's low end. */
void arch_set_current(struct task_struct *p)
{
	((struct thread_info *)p->stack)->task = p;
}

/* What __switch_to takes from a stack, which grows upward: 6 registers, A0FrP, and where to go on. */
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void))
{
	unsigned long *sp = (unsigned long *)(stack_top - THREAD_SIZE + ALIGN(sizeof(struct thread_info), 8));

	sp[7] = (unsigned long)entry;
	t->kernel_context = sp;
}

/* Registers of the core (arch/metag/include/asm/metag_mem.h). */
#define CORE(address) (*(volatile unsigned long *)(address))
#define LINSYSCFLUSH_TLB 0x04700000

void arch_flush_tlb(unsigned long va)
{
	CORE(LINSYSCFLUSH_TLB) = 0;
}

/* The interpreter's devices; see hv/emu. */
#define DEVICE(offset) (*(volatile unsigned long *)(DEVICES_START + (offset)))

void arch_map_devices(void)
{
	const unsigned long devices = 0xf0000000;

	map_page(DEVICES_START, pt_device(devices));
}

void arch_write(const char *s)
{
	while (*s)
		DEVICE(0) = *s++;
}

/* Another hardware thread: boot.S lets it come here. */
void secondary_init(void)
{
	arch_set_cpu_offset(__per_cpu_offset[1]);
	start_secondary();
}

int arch_boot_cpu(int cpu, struct task_struct *idle)
{
	extern char _start[];

	if (DEVICE(0x20) <= (unsigned long)cpu)
		return -1;
	arch_set_current(idle);
	DEVICE(0x30) = __pa_symbol(_start);
	DEVICE(0x38) = (unsigned long)idle->stack + ALIGN(sizeof(struct thread_info), 8);
	DEVICE(0x28) = cpu;
	return 0;
}

void arch_power_off(void)
{
	DEVICE(0x18) = 0;
}
