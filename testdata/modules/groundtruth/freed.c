// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that was given back, or soon will be: at the time of a scan some of
 * it waits for a grace period or a worker, the rest is free.
 */
#include <linux/irq_work.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/vmalloc.h>

#include "groundtruth.h"

struct headed {
	char fill[40];
	struct rcu_head rcu;
	char tail[72];
};

static noinline void plant_live_freed_kfree(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	gt_planted(p, 64);
	kfree(p);
}

static noinline void plant_live_freed_sensitive(void)
{
	void *p = kmalloc(128, GFP_KERNEL);

	gt_planted(p, 128);
	kfree_sensitive(p);
}

static noinline void plant_live_freed_const(void)
{
	const char *p = kstrdup_const(current->comm, GFP_KERNEL);

	gt_planted(p, strlen(p) + 1);
	kfree_const(p);
}

static noinline void plant_live_freed_kvfree(void)
{
	void *p = kvmalloc(8 << 20, GFP_KERNEL);

	gt_planted_n(0, p, 8 << 20);
	kvfree(p);
	p = kvmalloc(512, GFP_KERNEL);
	gt_planted_n(1, p, 512);
	kvfree(p);
	p = kvmalloc(32 * 1024, GFP_KERNEL);
	gt_planted_n(2, p, 32 * 1024);
	kvfree(p);
}

static noinline void plant_live_freed_krealloc(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	gt_planted_n(0, p, 64);
	p = krealloc(p, 2048, GFP_KERNEL);
	gt_planted_n(1, p, 2048);
	/* A size of nothing frees it. */
	p = krealloc(p, 0, GFP_KERNEL);
	barrier_data(p);
}

static noinline void plant_live_freed_bulk(void)
{
	struct kmem_cache *cache;
	void *objects[16];
	int i;

	cache = kmem_cache_create("gt_freed_bulk", 112, 16, 0, NULL);
	if (kmem_cache_alloc_bulk(cache, GFP_KERNEL, 16, objects) != 16)
		return;
	for (i = 0; i < 16; i += 5)
		gt_planted_n(i, objects[i], 112);
	kmem_cache_free_bulk(cache, 15, objects);
	kmem_cache_free(cache, objects[15]);
}

/* From caches of several kinds, the way the network frees. */
static noinline void plant_live_freed_bulk_mixed(void)
{
	void *objects[3] = { kmalloc(64, GFP_KERNEL), kmalloc(16384, GFP_KERNEL),
			     kmalloc(512, GFP_KERNEL) };
	int i;

	for (i = 0; i < 3; i++)
		gt_planted_n(i, objects[i], 1);
	kfree_bulk(3, objects);
}

static noinline void plant_live_freed_cache_destroyed(void)
{
	struct kmem_cache *cache;
	void *p;

	cache = kmem_cache_create("gt_destroyed", 120, 0, 0, NULL);
	p = kmem_cache_alloc(cache, GFP_KERNEL);
	gt_planted(p, 120);
	kmem_cache_free(cache, p);
	kmem_cache_destroy(cache);
}

static noinline void plant_live_freed_rcu(void)
{
	struct headed *p;
	int i;

	for (i = 0; i < 3; i++) {
		p = kzalloc(sizeof(*p), GFP_KERNEL);
		gt_planted_n(i, p, sizeof(*p));
		kfree_rcu(p, rcu);
	}
}

static noinline void plant_live_freed_rcu_area(void)
{
	struct headed *p = vzalloc(2 * PAGE_SIZE);

	gt_planted(p, 2 * PAGE_SIZE);
	kvfree_rcu(p, rcu);
}

/* Without a head: the address is put into an array that is a page. */
static noinline void plant_live_freed_rcu_headless(void)
{
	void *p;
	int i;

	for (i = 0; i < 3; i++) {
		p = kzalloc(256, GFP_KERNEL);
		gt_planted_n(i, p, 256);
#ifdef kvfree_rcu_mightsleep
		kvfree_rcu_mightsleep(p);
#else
		kvfree_rcu(p);
#endif
	}
}

static noinline void plant_live_freed_area(void)
{
	void *p = vmalloc(2 * PAGE_SIZE);

	gt_planted(p, 2 * PAGE_SIZE);
	vfree(p);
}

/* An area that is freed in an interrupt waits for a worker. */
static void *freed_later;

static noinline void vfree_in_irq(struct irq_work *work)
{
	vfree(freed_later);
	freed_later = NULL;
}

static noinline void plant_live_freed_area_in_irq(void)
{
	static struct irq_work work;

	freed_later = vmalloc(2 * PAGE_SIZE);
	gt_planted(freed_later, 2 * PAGE_SIZE);
	init_irq_work(&work, vfree_in_irq);
	irq_work_queue(&work);
	irq_work_sync(&work);
}

static noinline void plant_live_freed_percpu(void)
{
	void __percpu *p = __alloc_percpu(20480, 64);

	if (!p)
		return;
	gt_planted((__force void *)p, 20480);
	free_percpu(p);
}

static noinline void plant_live_freed_large(void)
{
	void *p = kmalloc(65536, GFP_KERNEL);

	gt_planted(p, 65536);
	kfree(p);
}

/* On another CPU than the one that allocated it. */
static int free_it(void *p)
{
	kfree(p);
	gt_settled();
	return 0;
}

static noinline void plant_live_freed_elsewhere(void)
{
	void *p = kmalloc(1024, GFP_KERNEL);

	gt_planted(p, 1024);
	gt_thread(free_it, p, gt_last_cpu(), "gt-free");
}

/* What gives no memory gives no object. */
static noinline void plant_live_nothing(void)
{
	size_t none = 0, huge = KMALLOC_MAX_SIZE * 2;
	void *p;

	OPTIMIZER_HIDE_VAR(none);
	OPTIMIZER_HIDE_VAR(huge);
	p = kmalloc(none, GFP_KERNEL);
	gt_planted_n(0, p, 1);
	kfree(p);
	kfree(NULL);
	kvfree(NULL);
	vfree(NULL);
	free_percpu(NULL);
	p = kmalloc(huge, GFP_NOWAIT | __GFP_NOWARN);
	gt_planted_n(1, p, 1);
	kfree(p);
	p = __vmalloc(~(size_t)0 >> 1, GFP_KERNEL | __GFP_NOWARN);
	gt_planted_n(2, p, 1);
	vfree(p);
}

const struct gt_plant gt_freed[] = {
	GT_PLANT(plant_live_freed_kfree),
	GT_PLANT(plant_live_freed_sensitive),
	GT_PLANT(plant_live_freed_const),
	GT_PLANT(plant_live_freed_kvfree),
	GT_PLANT(plant_live_freed_krealloc),
	GT_PLANT(plant_live_freed_bulk),
	GT_PLANT(plant_live_freed_bulk_mixed),
	GT_PLANT(plant_live_freed_cache_destroyed),
	GT_PLANT(plant_live_freed_rcu),
	GT_PLANT(plant_live_freed_rcu_area),
	GT_PLANT(plant_live_freed_rcu_headless),
	GT_PLANT(plant_live_freed_area),
	GT_PLANT(plant_live_freed_area_in_irq),
	GT_PLANT(plant_live_freed_percpu),
	GT_PLANT(plant_live_freed_large),
	GT_PLANT(plant_live_freed_elsewhere),
	GT_PLANT(plant_live_nothing),
	{}
};
