// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that only a thread's stack or registers point to. */
#include <linux/module.h>
#include <linux/wait.h>

#include "groundtruth.h"

static bool spin;
module_param(spin, bool, 0444);
MODULE_PARM_DESC(spin, "keep the last CPU busy with a pointer in a register");

static noinline int plant_live_stack(void *unused)
{
	void *volatile slot = kmalloc(64, GFP_KERNEL);

	gt_planted(slot, 64);
	gt_scrub();
	gt_settled();
	gt_sleep();
	return slot != NULL;
}

/* A callee-saved register, which the switch to another task saves. */
static noinline int plant_live_register(void *unused)
{
	void *p = kmalloc(64, GFP_KERNEL);

	gt_planted(p, 64);
	gt_scrub();
	gt_settled();
	for (;;) {
		set_current_state(TASK_IDLE);
		schedule();
		asm volatile("" : "+r" (p));
	}
	return 0;
}

static noinline void sleep_deep(int depth)
{
	void *volatile frame[96];

	frame[95] = NULL;
	if (depth > 0)
		sleep_deep(depth - 1);
	gt_settled();
	gt_sleep();
	frame[0] = NULL;
}

/* Far from the saved stack pointer, with live frames in between. */
static noinline int plant_live_stack_far(void *unused)
{
	void *volatile slot[8];

	slot[5] = kmalloc(64, GFP_KERNEL);
	gt_planted(slot[5], 64);
	gt_scrub();
	sleep_deep(8);
	return slot[5] != NULL;
}

struct waited {
	char fill[32];
	wait_queue_head_t queue;
	bool done;
	char tail[64];
};

/* The wait entry on the stack points to its queue, in the object's middle. */
static noinline int plant_live_wait_queue(void *unused)
{
	struct waited *waited = kzalloc(sizeof(*waited), GFP_KERNEL);

	init_waitqueue_head(&waited->queue);
	gt_planted(waited, sizeof(*waited));
	gt_scrub();
	gt_settled();
	wait_event_idle(waited->queue, READ_ONCE(waited->done));
	return 0;
}

/* On a wait queue of the module's; the waiter itself is the object. */
static DECLARE_WAIT_QUEUE_HEAD(queue);

static noinline void plant_live_wait_entry(void)
{
	struct wait_queue_entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

	init_waitqueue_entry(entry, current);
	entry->private = NULL;
	add_wait_queue(&queue, entry);
	gt_planted(entry, sizeof(*entry));
}

/* Kept by the thread's own bookkeeping: the argument it was made with. */
static int ignores_data(void *data)
{
	data = NULL;
	OPTIMIZER_HIDE_VAR(data);
	gt_settled();
	gt_sleep();
	return 0;
}

static noinline void plant_live_thread_data(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	gt_planted(p, 64);
	gt_thread(ignores_data, p, -1, "gt-data");
}

static noinline int plant_live_running(void *unused)
{
	void *p = kmalloc(64, GFP_KERNEL);
	int i = 0;

	gt_planted(p, 64);
	gt_scrub();
	gt_settled();
	for (;;) {
		asm volatile("" : "+r" (p));
		cpu_relax();
		if (++i % 4096 == 0)
			cond_resched();
	}
	return 0;
}

static void on_stack(void)
{
	gt_thread(plant_live_stack, NULL, -1, "gt-stack");
}

static void in_register(void)
{
	gt_thread(plant_live_register, NULL, -1, "gt-register");
}

static void far_on_stack(void)
{
	gt_thread(plant_live_stack_far, NULL, -1, "gt-stack-far");
}

static void in_wait_queue(void)
{
	gt_thread(plant_live_wait_queue, NULL, -1, "gt-wait-queue");
}

/* Never on the CPU that has to go on. */
static void running(void)
{
	if (spin && gt_last_cpu() > 0)
		gt_thread(plant_live_running, NULL, gt_last_cpu(),
			  "gt-running");
}

const struct gt_plant gt_thread_lives[] = {
	GT_PLANT(on_stack),
	GT_PLANT(in_register),
	GT_PLANT(far_on_stack),
	GT_PLANT(in_wait_queue),
	GT_PLANT(plant_live_wait_entry),
	GT_PLANT(plant_live_thread_data),
	GT_PLANT(running),
	{}
};
