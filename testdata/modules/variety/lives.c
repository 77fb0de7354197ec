// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/anon_inodes.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/list_bl.h>
#include <linux/platform_device.h>
#include <linux/skbuff.h>
#include <linux/swait.h>

#include "variety.h"

struct item {
	u64 key;
	struct list_head list;
	struct hlist_bl_node bl;
	struct hrtimer timer;
	struct kthread_work work;
	char fill[64];
};

static struct item *new_item(void)
{
	return kzalloc(sizeof(struct item), GFP_KERNEL);
}

/* Bit 0 of the head is its lock. */
static noinline void plant_live_locked_head(void)
{
	static struct hlist_bl_head head;
	struct item *item = new_item();

	hlist_bl_lock(&head);
	hlist_bl_add_head(&item->bl, &head);
	preempt_enable(); /* it stays locked, but we may sleep */
	planted(item, sizeof(*item));
}

static noinline void plant_live_skb_cb(void)
{
	static struct sk_buff *volatile skb;
	struct item *item = new_item();

	skb = alloc_skb(100, GFP_KERNEL);
	if (!skb)
		return;
	memcpy(skb->cb + 16, &item, sizeof(item));
	planted(item, sizeof(*item));
}

static const struct file_operations no_operations;

static noinline void plant_live_private_data(void)
{
	static struct file *volatile file;
	struct item *item = new_item();

	file = anon_inode_getfile("[variety]", &no_operations, item, O_RDWR);
	if (!IS_ERR(file))
		planted(item, sizeof(*item));
}

/* Managed by a device, and only in memory that the device shares. */
static struct platform_device *volatile device;

static noinline void plant_live_managed(void)
{
	device = platform_device_register_simple("variety", -1, NULL, 0);
	if (!IS_ERR(device))
		planted(devm_kzalloc(&device->dev, 200, GFP_KERNEL), 200);
}

static noinline void plant_live_coherent(void)
{
	static dma_addr_t handle;
	struct item *item = new_item();
	void **ring;

	if (IS_ERR_OR_NULL(device) ||
	    dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64)))
		return;
	ring = dma_alloc_coherent(&device->dev, 3 * PAGE_SIZE, &handle,
				  GFP_KERNEL);
	if (!ring)
		return;
	WRITE_ONCE(ring[1100], item);
	planted(item, sizeof(*item));
}

static int never_run(void *data)
{
	return data != NULL;
}

/* Its argument is known to the frame that waits for the first wake-up. */
static noinline void plant_live_unstarted(void)
{
	struct item *item = new_item();

	if (!IS_ERR(kthread_create(never_run, item, "vt-unstarted")))
		planted(item, sizeof(*item));
}

/* A list on the stack of a thread that sleeps; others add to it. */
static struct list_head *volatile inbox;

static int inbox_owner(void *unused)
{
	LIST_HEAD(list);

	inbox = &list;
	settled();
	sleep_for_ever();
	return list_empty(&list);
}

static noinline void plant_live_inbox(void)
{
	struct item *item;

	thread(inbox_owner, NULL, "vt-inbox");
	item = new_item();
	list_add(&item->list, inbox);
	inbox = NULL;
	planted(item, sizeof(*item));
}

static enum hrtimer_restart fired(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

static noinline void plant_live_hrtimer(void)
{
	struct item *item = new_item();

	hrtimer_init(&item->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	item->timer.function = fired;
	hrtimer_start(&item->timer, ms_to_ktime(3600 * 1000), HRTIMER_MODE_REL);
	planted(item, sizeof(*item));
}

static void blocks(struct kthread_work *work)
{
	settled();
	sleep_for_ever();
}

static void idles(struct kthread_work *work)
{
}

static int queue_blocker(void *worker)
{
	static struct kthread_work blocker;

	kthread_init_work(&blocker, blocks);
	kthread_queue_work(worker, &blocker);
	return 0;
}

/* Nothing but the worker, which its thread knows, leads to the work. */
static noinline void plant_live_kthread_work(void)
{
	struct kthread_worker *worker = kthread_create_worker(0, "vt-worker");
	struct item *item = new_item();

	if (IS_ERR(worker))
		return;
	thread(queue_blocker, worker, "vt-blocker");
	kthread_init_work(&item->work, idles);
	kthread_queue_work(worker, &item->work);
	planted(item, sizeof(*item));
}

/* Each link is a pointer to the pointer, and the last points back. */
static noinline void plant_live_indirect(void)
{
	static void **volatile first;
	void **at = kzalloc(64, GFP_KERNEL), **next;
	int i;

	first = at + 3;
	for (i = 0; i < 1000; i++) {
		next = kzalloc(64, GFP_KERNEL);
		if (!next)
			return;
		WRITE_ONCE(at[3], next + (i & 7));
		at = next;
	}
	WRITE_ONCE(at[0], (void *)&first);
	planted(at, 64);
}

void plant_lives(void)
{
	static void (*const plants[])(void) = {
		plant_live_locked_head, plant_live_skb_cb,
		plant_live_private_data, plant_live_managed,
		plant_live_coherent, plant_live_unstarted, plant_live_inbox,
		plant_live_hrtimer, plant_live_kthread_work,
		plant_live_indirect,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(plants); i++) {
		plants[i]();
		scrub();
	}
}
