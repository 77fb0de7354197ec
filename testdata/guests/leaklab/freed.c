// SPDX-License-Identifier: GPL-2.0-or-later
/* What was freed in time, though nobody holds it any more. */
#include "leaklab.h"

static noinline void plant_live_freed_kfree(void)
{
	void *p = kmalloc(SIZE, GFP_KERNEL);

	planted(p, SIZE);
	kfree(p);
	kfree(NULL);
}

static noinline void plant_live_freed_cache(void)
{
	void *p = plant_alloc();

	planted(p, SIZE);
	kmem_cache_free(plant_cache, p);
}

static noinline void plant_live_freed_large(void)
{
	void *p = kmalloc(8 * PAGE_SIZE, GFP_KERNEL);

	planted(p, 8 * PAGE_SIZE);
	kfree(p);
}

static noinline void plant_live_freed_vmalloc(void)
{
	void *p = vmalloc(2 * PAGE_SIZE);

	planted(p, 2 * PAGE_SIZE);
	vfree(p);
	vfree(NULL);
}

static noinline void plant_live_freed_percpu(void)
{
	void *p = __alloc_percpu(128, 64);

	planted(p, 128);
	free_percpu(p);
	free_percpu(NULL);
}

static noinline void plant_live_freed_pages(void)
{
	struct page *page = __alloc_pages(GFP_KERNEL, 3, 0, NULL);

	planted(page_address(page), 8 * PAGE_SIZE);
	__free_pages(page, 3);
}

static noinline void plant_live_freed_bulk(void)
{
	void *p[4];
	int n = kmem_cache_alloc_bulk(plant_cache, GFP_KERNEL, ARRAY_SIZE(p), p);

	for (int i = 0; i < n; i++)
		planted_n(i, p[i], SIZE);
	kmem_cache_free_bulk(plant_cache, n, p);
}

static noinline void plant_live_freed_krealloc(void)
{
	void *p = kmalloc(SIZE, GFP_KERNEL);

	planted_n(0, p, SIZE);
	p = krealloc(p, 4 * SIZE, GFP_KERNEL);
	planted_n(1, p, 4 * SIZE);
	kfree(p);
}

/* The idle task frees it. */
static void free_node(struct rcu_head *head)
{
	kmem_cache_free(plant_cache, container_of(head, struct node, rcu));
}

static noinline void plant_live_freed_rcu(void)
{
	struct node *o = plant_alloc();

	planted(o, SIZE);
	call_rcu(&o->rcu, free_node);
}

/* Another task frees it. */
static int freeing_task(void *data)
{
	kmem_cache_free(plant_cache, data);
	return 0;
}

static noinline void plant_live_freed_elsewhere(void)
{
	void *p = plant_alloc();

	planted(p, SIZE);
	as_task("freer", freeing_task, p);
}

/* Planted last, so that none of their memory becomes another plant's. */
const struct plant freed[] = {
	PLANT(plant_live_freed_kfree),
	PLANT(plant_live_freed_cache),
	PLANT(plant_live_freed_large),
	PLANT(plant_live_freed_vmalloc),
	PLANT(plant_live_freed_percpu),
	PLANT(plant_live_freed_pages),
	PLANT(plant_live_freed_bulk),
	PLANT(plant_live_freed_krealloc),
	PLANT(plant_live_freed_rcu),
	PLANT(plant_live_freed_elsewhere),
	{ NULL, NULL },
};
