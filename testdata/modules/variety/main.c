// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/vmalloc.h>

#include "variety.h"

static bool fail;
module_param(fail, bool, 0444);
MODULE_PARM_DESC(fail, "leak a little, and let the load fail");

struct kmem_cache *own_cache;

void noinline say(const char *func, const void *p, size_t size)
{
	const char *name = func + strlen("plant_leak_");
	bool leak = strstarts(func, "plant_leak_");

	printk(KERN_ALERT "variety: %s %s 0x%px %zu\n", leak ? "leak" : "live",
	       name, p, size);
	if (leak)
		printk(KERN_ALERT "variety: task %s %s %d\n", name,
		       current->comm, current->pid);
}

static noinline void overwrite(int depth)
{
	u8 frame[512];

	memset(frame, 0x5a, sizeof(frame));
	if (depth > 0)
		overwrite(depth - 1);
	OPTIMIZER_HIDE_VAR(depth);
	barrier_data(frame);
}

void noinline scrub(void)
{
	overwrite(8);
}

static DECLARE_COMPLETION(has_settled);

void settled(void)
{
	complete(&has_settled);
}

static bool awake;

void sleep_for_ever(void)
{
	while (!READ_ONCE(awake)) {
		set_current_state(TASK_IDLE);
		schedule();
	}
}

struct task_struct *thread(int (*fn)(void *), void *data, const char *name)
{
	struct task_struct *task;

	reinit_completion(&has_settled);
	task = kthread_run(fn, data, "%s", name);
	if (IS_ERR(task))
		return NULL;
	wait_for_completion(&has_settled);
	msleep(20);
	return task;
}

/* In a process that reads a file. */
static noinline int plant_leak_proc_read(struct seq_file *m, void *unused)
{
	void *p = own_alloc();

	planted(p, OWN_SIZE);
	scrub();
	printk(KERN_ALERT "variety: planted\n");
	return 0;
}

/* What a module held whose load failed. */
static void *volatile slab_held, *volatile area_held;

static noinline void plant_leak_init_failed(void)
{
	slab_held = kzalloc(1024, GFP_KERNEL);
	planted(slab_held, 1024);
}

static noinline void plant_leak_init_failed_area(void)
{
	area_held = vmalloc(5 * PAGE_SIZE);
	planted(area_held, 5 * PAGE_SIZE);
}

static int plant_all(void *done)
{
	plant_leaks();
	scrub();
	plant_lives();
	scrub();
	use_subsystems();
	scrub();
	complete(done);
	return 0;
}

static void no_merge(void *object)
{
}

static int __init variety_init(void)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct task_struct *task;

	if (fail) {
		plant_leak_init_failed();
		plant_leak_init_failed_area();
		scrub();
		printk(KERN_ALERT "variety: planted\n");
		return -ENODEV;
	}
	own_cache = kmem_cache_create("variety", OWN_SIZE, 64, 0, no_merge);
	if (!own_cache)
		return -ENOMEM;
	/* A thread of its own: its stack and registers are gone afterwards. */
	task = kthread_run(plant_all, &done, "variety");
	if (IS_ERR(task))
		return PTR_ERR(task);
	wait_for_completion(&done);
	msleep(50);
	proc_create_single("variety", 0400, NULL, plant_leak_proc_read);
	scrub();
	printk(KERN_ALERT "variety: planted\n");
	return 0;
}
module_init(variety_init);
/* No exit function: what it planted stays. */

MODULE_DESCRIPTION("Kernel objects that are leaked, and others that are not");
MODULE_LICENSE("GPL");
