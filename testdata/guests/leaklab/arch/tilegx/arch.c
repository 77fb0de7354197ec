// SPDX-License-Identifier: GPL-2.0-or-later
#include "sched.h"

/* Linux finds the running task at its stack's low end. */
void arch_set_current(struct task_struct *p)
{
	((struct thread_info *)p->stack)->task = p;
}

/*
 * What __switch_to takes from a stack: 16 bytes that belong to whoever it
 * calls, r30 to r52, and lr, where to go on.
 */
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void))
{
	unsigned long *sp = (unsigned long *)stack_top - 2 - 26;

	sp[25] = (unsigned long)entry;
	t->ksp = (unsigned long)sp;
}

/* Calls of the hypervisor, numbered as in arch/tile/include/hv/hypervisor.h. */
#define HV_DISPATCH_INSTALL_CONTEXT 2
#define HV_DISPATCH_FLUSH_PAGE 7

static void hypervisor(unsigned long call, unsigned long arg)
{
	register unsigned long r0 __asm__("r0") = arg;
	register unsigned long r10 __asm__("r10") = call;

	__asm__ volatile("swint2" : "+r"(r0) : "r"(r10) : "memory");
}

void arch_load_tables(unsigned long pa) { hypervisor(HV_DISPATCH_INSTALL_CONTEXT, pa); }
void arch_flush_tlb(unsigned long va) { hypervisor(HV_DISPATCH_FLUSH_PAGE, va); }

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

/* The second CPU begins at a physical address, with a stack pointer. */
extern char secondary_entry[];
unsigned long secondary_offset;

int arch_boot_cpu(int cpu, struct task_struct *idle)
{
	const unsigned long vcpus = DEVICE(0x20);

	if ((unsigned long)cpu >= vcpus)
		return -1;
	secondary_offset = __per_cpu_offset[cpu];
	((struct thread_info *)idle->stack)->task = idle;
	DEVICE(0x30) = __pa_symbol(secondary_entry);
	DEVICE(0x38) = (unsigned long)idle->stack + THREAD_SIZE - 16;
	DEVICE(0x28) = cpu;
	return 0;
}

void arch_power_off(void)
{
	DEVICE(0x18) = 0;
}
