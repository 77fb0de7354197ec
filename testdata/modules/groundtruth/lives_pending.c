// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that waits for something: a timer, a worker, a grace period. */
#include <linux/irq_work.h>
#include <linux/srcu.h>
#include <linux/rcupdate.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "groundtruth.h"

#define LATER (3600 * HZ)

struct pending {
	char fill[48];
	struct timer_list timer;
	struct delayed_work work;
	struct rcu_head rcu;
	void *kept;
};

static struct pending *new_pending(void)
{
	struct pending *p = kzalloc(sizeof(*p), GFP_KERNEL);

	if (p)
		p->kept = kzalloc(64, GFP_KERNEL);
	return p;
}

static void timer_fired(struct timer_list *timer)
{
}

static void work_done(struct work_struct *work)
{
}

static noinline void plant_live_timer(void)
{
	struct pending *p = new_pending();

	timer_setup(&p->timer, timer_fired, 0);
	mod_timer(&p->timer, jiffies + LATER);
	gt_planted_n(0, p, sizeof(*p));
	gt_planted_n(1, p->kept, 64);
}

static noinline void plant_live_timer_other_cpu(void)
{
	struct pending *p = new_pending();

	timer_setup(&p->timer, timer_fired, TIMER_PINNED);
	p->timer.expires = jiffies + LATER;
	add_timer_on(&p->timer, gt_last_cpu());
	gt_planted(p, sizeof(*p));
}

static noinline void plant_live_delayed_work(void)
{
	struct pending *p = new_pending();

	INIT_DELAYED_WORK(&p->work, work_done);
	schedule_delayed_work(&p->work, LATER);
	gt_planted(p, sizeof(*p));
}

/* Behind a work item that does not end. */

static void block(struct work_struct *work)
{
	gt_settled();
	gt_sleep();
}

static int queue_blocker(void *data)
{
	static struct work_struct blocker;

	INIT_WORK(&blocker, block);
	queue_work(data, &blocker);
	return 0;
}

static noinline void plant_live_queued_work(void)
{
	struct workqueue_struct *queue;
	struct pending *p;

	queue = alloc_ordered_workqueue("gt_blocked", 0);
	if (!queue)
		return;
	gt_thread(queue_blocker, queue, -1, "gt-blocker");
	p = new_pending();
	INIT_DELAYED_WORK(&p->work, work_done);
	queue_work(queue, &p->work.work);
	gt_planted_n(0, p, sizeof(*p));
	gt_planted_n(1, p->kept, 64);
}

/* At any time it waits for a grace period, or is being handed back to one. */
static void again(struct rcu_head *rcu)
{
	call_rcu(rcu, again);
}

static noinline void plant_live_call_rcu(void)
{
	struct pending *p = new_pending();

	gt_planted_n(0, p, sizeof(*p));
	gt_planted_n(1, p->kept, 64);
	call_rcu(&p->rcu, again);
}

/* A reader that sleeps for ever keeps the grace period from ending. */
DEFINE_STATIC_SRCU(srcu);

static int srcu_reader(void *unused)
{
	srcu_read_lock(&srcu);
	gt_settled();
	gt_sleep();
	return 0;
}

static void srcu_done(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct pending, rcu));
}

static noinline void plant_live_call_srcu(void)
{
	struct pending *p;
	int i;

	gt_thread(srcu_reader, NULL, -1, "gt-srcu");
	for (i = 0; i < 3; i++) {
		p = new_pending();
		gt_planted_n(2 * i, p, sizeof(*p));
		gt_planted_n(2 * i + 1, p->kept, 64);
		call_srcu(&srcu, &p->rcu, srcu_done);
	}
}

const struct gt_plant gt_pending_lives[] = {
	GT_PLANT(plant_live_timer),
	GT_PLANT(plant_live_timer_other_cpu),
	GT_PLANT(plant_live_delayed_work),
	GT_PLANT(plant_live_queued_work),
	GT_PLANT(plant_live_call_rcu),
	GT_PLANT(plant_live_call_srcu),
	{}
};
