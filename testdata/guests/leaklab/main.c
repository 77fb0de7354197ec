// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's beginning and end, and its first task, which plants. */
#include "leaklab.h"

#define NEW_UTS_LEN 64

struct new_utsname {
	char sysname[NEW_UTS_LEN + 1], nodename[NEW_UTS_LEN + 1];
	char release[NEW_UTS_LEN + 1], version[NEW_UTS_LEN + 1];
};

struct uts_namespace {
	struct new_utsname name;
} init_uts_ns = { .name = { "Leaklab", "(none)", "1.0-leaklab", "#1" } };

const char linux_banner[] = "Linux version 1.0-leaklab\n";
struct kmem_cache *plant_cache;

static struct task_struct *init, *rcu_waiter;

void *plant_alloc(void)
{
	void *p = kmem_cache_alloc(plant_cache, GFP_KERNEL);

	BUG_ON(!p);
	return memset(p, FILL, SIZE);
}

/* The length of "plant_leak_" and of "plant_live_". */
#define PREFIX 11

void say(const char *func, int n, const void *p, size_t size)
{
	struct task_struct *task = this_cpu_ptr(&runqueues)->curr;
	int leak = func[8] == 'a';

	for (int line = 0; line <= leak; line++) {
		print(line ? "leaklab: task " : leak ? "leaklab: leak " : "leaklab: live ");
		print(func + PREFIX);
		if (n >= 0) {
			print(".");
			print_dec(n);
		}
		if (line) {
			print(" ");
			print(task->comm);
			print(" ");
			print_dec(task->pid);
		} else {
			print(" 0x");
			print_hex((unsigned long)p);
			print(" ");
			print_dec(size);
		}
		print("\n");
	}
	barrier();
}

noinline void scrub(void)
{
	volatile unsigned long dead[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(dead); i++)
		dead[i] = 0;
}

noinline void as_task(const char *comm, int (*fn)(void *data), void *data)
{
	kernel_clone(fn, data, comm);
	yield();
	barrier();
}

static noinline void run_all(const struct plant *p)
{
	for (; p->plant; p++) {
		p->plant();
		scrub();
	}
}

/* Lets the idle task run, which frees what waits for RCU. */
static noinline void synchronize_rcu(void)
{
	rcu_waiter = init;
	sleep();
	barrier();
}

/* Nothing happens behind it: the guest is judged at its first instruction. */
noinline void kernel_power_off(void)
{
	arch_power_off();
}

static int kernel_init(__always_unused void *data)
{
	plant_cache = kmem_cache_create("leaklab", SIZE);
	run_all(leaks);
	other_cpu();
	run_all(freed);
	synchronize_rcu();
	run_all(lives);
	print("leaklab: planted\n");
	scrub();
	kernel_power_off();
	panic("still here");
}

static void __noreturn cpu_idle(void)
{
	for (;;) {
		schedule();
		rcu_do_batch();
		if (rcu_waiter) {
			wake_up_process(rcu_waiter);
			rcu_waiter = NULL;
		}
	}
}

noinline void __noreturn start_kernel(void)
{
	paging_init();
	setup_per_cpu_areas();
	arch_set_current(&init_task); /* of this CPU only */
	mem_init();
	arch_console_init();
	print(linux_banner);
	kmem_cache_init();
	vmalloc_init();
	sched_init();
	init = kernel_clone(kernel_init, NULL, "init");
	cpu_idle();
}
