// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A second CPU: it plants, works at the same time as the first one, and is
 * still at work when that powers off.
 */
#include "leaklab.h"

/* How far it is; each CPU waits for the other's step. */
static enum { ABSENT, UP, PLANTED, WORKING, DONE } step;

static void reach(int s) { __atomic_store_n(&step, s, __ATOMIC_RELEASE); }
static int reached(int s) { return (int)__atomic_load_n(&step, __ATOMIC_ACQUIRE) >= s; }

static void await(int s)
{
	while (!reached(s))
		barrier();
}

__attribute__((weak)) int arch_boot_cpu(__always_unused int cpu, __always_unused struct task_struct *idle)
{
	return -1;
}

static noinline void plant_leak_cpu1(void)
{
	planted(plant_alloc(), SIZE);
}

static noinline void plant_leak_cpu1_percpu(void)
{
	void **v = __alloc_percpu(64, 8);

	*this_cpu_ptr(v) = plant_alloc();
	planted_n(0, v, 64);
	planted_n(1, *this_cpu_ptr(v), SIZE);
}

/* Both CPUs allocate and free, in each allocator, at the same time. */
static noinline void work(void)
{
	void *p[8];

	for (int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(p); i++)
			p[i] = i & 1 ? kmalloc(64UL << (i / 2), GFP_KERNEL) : plant_alloc();
		for (unsigned int i = 0; i < ARRAY_SIZE(p); i++)
			kfree(p[i]);
		if (round & 7) /* a processor need not be able to divide */
			continue;
		vfree(vmalloc(2 * PAGE_SIZE));
		free_percpu(__alloc_percpu(32, 8));
		kfree(kmalloc(3 * PAGE_SIZE, GFP_KERNEL));
	}
	memset(p, 0, sizeof(p));
	barrier();
}

/* Held by a register or the stack of a CPU that runs on, for ever. */
static noinline void plant_live_cpu1_running(void)
{
	void *p = plant_alloc();

	planted(p, SIZE);
	reach(DONE);
	await(DONE + 1);
	memset(p, 0, SIZE);
}

static int second(__always_unused void *data)
{
	plant_leak_cpu1();
	plant_leak_cpu1_percpu();
	scrub();
	reach(PLANTED);
	await(WORKING);
	work();
	scrub();
	plant_live_cpu1_running();
	return 0;
}

/* Called on a CPU that was started, by its idle task. */
noinline void start_secondary(void)
{
	reach(UP);
	kernel_clone(second, NULL, "cpu1");
	for (;;)
		schedule();
}

noinline void other_cpu(void)
{
	if (arch_boot_cpu(1, fork_idle(1)))
		return;
	await(PLANTED); /* the console is one CPU's */
	reach(WORKING);
	work();
	await(DONE);
}
