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

static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline u8 inb(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void outw(u16 port, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }

/* The local APIC. */
void arch_map_devices(void)
{
	const unsigned long apic = 0xfee00000;

	map_page(APIC_START, pt_page(apic) | 0x18); /* not cached */
}

/* QEMU's firmware configuration says how many there are (docs/specs/fw_cfg.rst). */
static int fw_cfg(u16 key)
{
	const u16 port = 0x510;
	int low;

	outw(port, key);
	low = inb(port + 1);
	return low | inb(port + 1) << 8;
}

static int number_of_cpus(void)
{
	const u16 signature = 0, cpus = 5;

	return fw_cfg(signature) == ('Q' | 'E' << 8) ? fw_cfg(cpus) : 1;
}

/*
 * Another CPU starts in real mode, in a page of low memory, to which
 * secondary_start is copied.
 */
extern char secondary_start[], secondary_end[];
unsigned long secondary_stack, secondary_offset;

int arch_boot_cpu(int cpu, struct task_struct *idle)
{
	const unsigned long low = 0x8000;
	volatile u32 *command = (volatile u32 *)(APIC_START + 0x300);
	unsigned long offset = __per_cpu_offset[cpu];

	if (cpu >= number_of_cpus())
		return -1;
	memcpy(__va(low), secondary_start, secondary_end - secondary_start);
	secondary_stack = (unsigned long)idle->stack + THREAD_SIZE;
	*per_cpu_ptr(&current_task, cpu) = idle;
	*per_cpu_ptr(&this_cpu_off, cpu) = offset;
	secondary_offset = offset;
	barrier();
	/* INIT and SIPI, on an emulated machine without delays. */
	command[4] = cpu << 24;
	command[0] = 0x4500;
	command[0] = 0x4600 | low >> 12;
	return 0;
}

/* The first serial port, a 16550. */
#define COM1 0x3f8

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
