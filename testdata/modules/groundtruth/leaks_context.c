// SPDX-License-Identifier: GPL-2.0-or-later
/* Leaks from every context that may allocate. */
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/smp.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "groundtruth.h"

/* They scrub the stack that they ran on themselves. */

static noinline int plant_leak_kthread(void *unused)
{
	void *p = gt_alloc(GFP_KERNEL);

	gt_planted(p, GT_SIZE);
	gt_scrub();
	gt_settled();
	return 0;
}

static void in_kthread(void)
{
	gt_thread(plant_leak_kthread, NULL, -1, "gt-leaker");
}

static noinline int plant_leak_last_cpu(void *unused)
{
	void *p = gt_alloc(GFP_KERNEL);

	gt_planted(p, GT_SIZE);
	gt_scrub();
	gt_settled();
	return 0;
}

static void on_last_cpu(void)
{
	gt_thread(plant_leak_last_cpu, NULL, gt_last_cpu(), "gt-last-cpu");
}

static noinline void plant_leak_cross_call(void *unused)
{
	void *p = gt_alloc(GFP_ATOMIC);

	gt_planted(p, GT_SIZE);
	gt_scrub();
}

/* In an interrupt on the other CPU; with one CPU, a call with them off. */
static void in_cross_call(void)
{
	if (gt_last_cpu() > 0)
		smp_call_function_single(gt_last_cpu(), plant_leak_cross_call,
					 NULL, 1);
}

static noinline void plant_leak_hardirq(struct irq_work *work)
{
	void *p = gt_alloc(GFP_ATOMIC);

	gt_planted(p, GT_SIZE);
	gt_scrub();
}

static void in_hardirq_work(void)
{
	static struct irq_work work;

	init_irq_work(&work, plant_leak_hardirq);
	irq_work_queue(&work);
	irq_work_sync(&work);
}

static noinline void plant_leak_timer(struct timer_list *timer)
{
	void *p = gt_alloc(GFP_ATOMIC);

	gt_planted(p, GT_SIZE);
	gt_scrub();
}

static void in_timer(void)
{
	static struct timer_list timer;

	timer_setup(&timer, plant_leak_timer, 0);
	mod_timer(&timer, jiffies + 1);
	while (timer_pending(&timer))
		msleep(1);
	msleep(5);
}

static noinline void plant_leak_tasklet(struct tasklet_struct *tasklet)
{
	void *p = gt_alloc(GFP_ATOMIC);

	gt_planted(p, GT_SIZE);
	gt_scrub();
}

static void in_tasklet(void)
{
	static struct tasklet_struct tasklet;

	tasklet_setup(&tasklet, plant_leak_tasklet);
	tasklet_schedule(&tasklet);
	tasklet_kill(&tasklet);
}

static noinline void plant_leak_workqueue(struct work_struct *work)
{
	void *p = gt_alloc(GFP_KERNEL);

	gt_planted(p, GT_SIZE);
	gt_scrub();
}

static void in_workqueue(void)
{
	static struct work_struct work;

	INIT_WORK(&work, plant_leak_workqueue);
	schedule_work(&work);
	flush_work(&work);
}

/* With interrupts off, as under a spinlock. */
static noinline void plant_leak_irqs_off(void)
{
	unsigned long flags;
	void *p;

	local_irq_save(flags);
	p = gt_alloc(GFP_ATOMIC);
	local_irq_restore(flags);
	gt_planted(p, GT_SIZE);
}

/* More frames than a report has room for: the plant is within the first 16. */
static noinline void descend(int depth, void (*fn)(void))
{
	if (depth > 0)
		descend(depth - 1, fn);
	else
		fn();
	OPTIMIZER_HIDE_VAR(depth);
}

static noinline void plant_leak_deep_call(void)
{
	void *p = gt_alloc(GFP_KERNEL);

	gt_planted(p, GT_SIZE);
}

static void in_deep_call(void)
{
	descend(24, plant_leak_deep_call);
}

const struct gt_plant gt_context_leaks[] = {
	GT_PLANT(in_kthread),
	GT_PLANT(on_last_cpu),
	GT_PLANT(in_cross_call),
	GT_PLANT(in_hardirq_work),
	GT_PLANT(in_timer),
	GT_PLANT(in_tasklet),
	GT_PLANT(in_workqueue),
	GT_PLANT(plant_leak_irqs_off),
	GT_PLANT(in_deep_call),
	{}
};
