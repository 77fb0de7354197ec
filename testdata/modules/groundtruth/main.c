// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include "groundtruth.h"

static char *only = "";
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "run just this plant (a function's name)");

struct kmem_cache *gt_cache;

static DECLARE_COMPLETION(settled);

void noinline gt_say(const char *func, int n, const void *p, size_t size)
{
	const char *name = func + strlen("plant_leak_");
	const char *kind = strstarts(func, "plant_leak_") ? "leak" : "live";
	char index[8] = "";

	if (n >= 0)
		snprintf(index, sizeof(index), ".%d", n);

	/* Alert, so that "quiet" does not hide it. */
	printk(KERN_ALERT "groundtruth: %s %s%s 0x%px %zu\n", kind, name, index,
	       p, size);
	if (kind[1] == 'i')
		return;
	if (in_hardirq())
		printk(KERN_ALERT "groundtruth: task %s%s hardirq 0\n", name,
		       index);
	else if (in_serving_softirq())
		printk(KERN_ALERT "groundtruth: task %s%s softirq 0\n", name,
		       index);
	else
		printk(KERN_ALERT "groundtruth: task %s%s %s %d\n", name, index,
		       current->comm, current->pid);
}

static noinline void scrub(int depth)
{
	u8 frame[512];

	memset(frame, GT_FILL, sizeof(frame));
	if (depth > 0)
		scrub(depth - 1);
	OPTIMIZER_HIDE_VAR(depth);
	barrier_data(frame);
}

void noinline gt_scrub(void)
{
	scrub(8);
}

void noinline gt_deep(void (*fn)(void))
{
	u8 frame[1024];
	u8 frame2[512];

	/* Three of these frames are about 4 KB. */
	memset(frame, GT_FILL, sizeof(frame));
	memset(frame2, GT_FILL, sizeof(frame2));
	fn();
	barrier_data(frame);
	barrier_data(frame2);
}

void gt_settled(void)
{
	complete(&settled);
}

/* Never set; so that the compiler must keep what a sleeper still needs. */
static bool awake;

void gt_sleep(void)
{
	while (!READ_ONCE(awake)) {
		set_current_state(TASK_IDLE);
		schedule();
	}
}

int gt_last_cpu(void)
{
	return cpumask_last(cpu_online_mask);
}

struct task_struct *gt_thread(int (*fn)(void *), void *data, int cpu,
			      const char *name)
{
	struct task_struct *task;

	reinit_completion(&settled);
	task = kthread_create(fn, data, "%s", name);
	if (IS_ERR(task))
		return NULL;
	if (cpu >= 0)
		kthread_bind(task, cpu);
	wake_up_process(task);
	wait_for_completion(&settled);
	msleep(20);
	return task;
}

void gt_no_merge(void *object)
{
}

static void *ballast;

static bool keep(void **p)
{
	if (!p)
		return false;
	*p = ballast;
	ballast = p;
	return true;
}

/*
 * Uses up, for good, what others have freed, so that what is planted next is
 * memory that nobody had before (see gt_alloc). The sizes are those of the
 * slab caches, the flags choose among the caches of one size.
 */
static void use_up(gfp_t flags)
{
	static const size_t sizes[] = { 8,   16,  32,	64,   96,   128, 192,
					256, 512, 1024, 2048, 4096, 8192 };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (j = 0; j < 256 && j * sizes[i] < SZ_128K; j++) {
			if (!keep(kmalloc(sizes[i], flags)))
				return;
		}
	}
}

/* The same for the addresses of areas, of which dead stacks had many. */
static void use_up_areas(void)
{
	int i, pages;

	vm_unmap_aliases();
	for (pages = 5; pages > 0; pages--) {
		for (i = 0; i < 24; i++) {
			if (!keep(vmalloc(pages * PAGE_SIZE)))
				return;
		}
	}
}

static const struct gt_plant *const tables[] = {
	gt_slab_leaks,	  gt_area_leaks,  gt_graph_leaks,  gt_context_leaks,
	gt_root_lives,	  gt_struct_lives, gt_page_lives, gt_thread_lives,
	gt_pending_lives,
	/* Last: a leak may not be planted where something was freed. */
	gt_freed,
};

static int run_all(void *done)
{
	const struct gt_plant *plant;
	int i;

	use_up(GFP_KERNEL);
	use_up(GFP_KERNEL_ACCOUNT);
	use_up(GFP_KERNEL | __GFP_RECLAIMABLE);
	use_up(GFP_KERNEL | GFP_DMA);
	use_up_areas();
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		for (plant = tables[i]; plant->plant; plant++) {
			if (*only && strcmp(only, plant->name))
				continue;
			plant->plant();
			gt_scrub();
			cond_resched();
		}
	}
	complete(done);
	return 0;
}

/* In the context of the process that loads the module. */
static noinline void plant_leak_insmod(void)
{
	void *p = gt_alloc(GFP_KERNEL);

	gt_planted(p, GT_SIZE);
}

static int __init groundtruth_init(void)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct task_struct *task;

	gt_cache = kmem_cache_create("gt_cache", GT_SIZE, GT_SIZE, 0,
				     gt_no_merge);
	if (!gt_cache)
		return -ENOMEM;
	/*
	 * A thread of its own: its stack and registers are gone afterwards. And
	 * on one CPU, whose free objects it uses up.
	 */
	task = kthread_create(run_all, &done, "groundtruth");
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpumask_first(cpu_online_mask));
	wake_up_process(task);
	wait_for_completion(&done);
	msleep(50);
	if (!*only)
		plant_leak_insmod();
	gt_scrub();
	printk(KERN_ALERT "groundtruth: planted\n");
	return 0;
}
module_init(groundtruth_init);
/* No exit function: what it planted stays. */

MODULE_DESCRIPTION("Memory that is leaked, and memory that is not");
MODULE_LICENSE("GPL");
