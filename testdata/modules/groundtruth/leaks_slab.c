// SPDX-License-Identifier: GPL-2.0-or-later
/* One leak for each way into the slab allocator. */
#include <linux/mm.h>
#include <linux/mempool.h>
#include <linux/nodemask.h>
#include <linux/platform_device.h>

#include "groundtruth.h"

/* Sizes that the compiler does not know take another path than constants. */
static noinline size_t opaque(size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	return size;
}

/* 511 letters. */
#define T8 "letters "
#define T64 T8 T8 T8 T8 T8 T8 T8 T8
static const char text[] = T64 T64 T64 T64 T64 T64 T64
	T8 T8 T8 T8 T8 T8 T8 "letters";

static struct kmem_cache *own_cache;

static struct kmem_cache *own(void)
{
	if (!own_cache)
		own_cache = kmem_cache_create("gt_own", 96, 32, 0, NULL);
	return own_cache;
}

#define LEAK(name, size, alloc)                       \
	static noinline void plant_leak_##name(void)  \
	{                                             \
		void *p = (alloc);                    \
                                                      \
		if (p)                                \
			gt_planted(p, (size));        \
	}

/* Some architectures have no caches for the sizes below 128, or 192. */
LEAK(kmalloc, 512, kmalloc(512, GFP_KERNEL))
/* What ksize() says can be more than the object: room up to the next one. */
LEAK(kmalloc_8, 0, kmalloc(8, GFP_KERNEL))
LEAK(kmalloc_96, ksize(p), kmalloc(96, GFP_KERNEL))
LEAK(kmalloc_8k, 8192, kmalloc(8192, GFP_KERNEL))
LEAK(kmalloc_opaque, 256, kmalloc(opaque(256), GFP_KERNEL))
LEAK(kmalloc_atomic, 512, kmalloc(512, GFP_ATOMIC))
LEAK(kmalloc_accounted, 512, kmalloc(512, GFP_KERNEL_ACCOUNT))
LEAK(kmalloc_reclaimable, 512, kmalloc(512, GFP_KERNEL | __GFP_RECLAIMABLE))
LEAK(kmalloc_dma, 512, kmalloc(512, GFP_KERNEL | GFP_DMA))
LEAK(kzalloc, 128, kzalloc(128, GFP_KERNEL))
LEAK(kmalloc_node, ksize(p), kmalloc_node(192, GFP_KERNEL, first_online_node))
LEAK(kmalloc_node_opaque, ksize(p),
     kmalloc_node(opaque(192), GFP_KERNEL, first_online_node))
LEAK(kzalloc_node, ksize(p), kzalloc_node(192, GFP_KERNEL, NUMA_NO_NODE))
LEAK(kcalloc, 512, kcalloc(opaque(16), 32, GFP_KERNEL))
LEAK(kcalloc_node, 512, kcalloc_node(opaque(16), 32, GFP_KERNEL, 0))
LEAK(kmalloc_array, 1024, kmalloc_array(opaque(4), 256, GFP_KERNEL))
LEAK(kmemdup, 512, kmemdup(text, 512, GFP_KERNEL))
LEAK(kstrdup, 512, kstrdup(text, GFP_KERNEL))
LEAK(kstrndup, 256, kstrndup(text, 255, GFP_KERNEL))
LEAK(kasprintf, 512, kasprintf(GFP_KERNEL, "%0511d", 42))
LEAK(krealloc_null, 512, krealloc(NULL, opaque(512), GFP_KERNEL))
LEAK(kmalloc_large, 16384, kmalloc(16384, GFP_KERNEL))
LEAK(kmalloc_large_opaque, 32768, kmalloc(opaque(32768), GFP_KERNEL))
LEAK(kmalloc_large_node, 65536, kmalloc_node(opaque(65536), GFP_KERNEL, 0))
LEAK(kvmalloc_small, 512, kvmalloc(opaque(512), GFP_KERNEL))
LEAK(kmem_cache_alloc, 96, kmem_cache_alloc(own(), GFP_KERNEL))
LEAK(kmem_cache_zalloc, 96, kmem_cache_zalloc(own(), GFP_KERNEL))
LEAK(kmem_cache_alloc_node, 96, kmem_cache_alloc_node(own(), GFP_KERNEL, 0))
LEAK(kmem_cache_alloc_lru, 96, kmem_cache_alloc_lru(own(), NULL, GFP_KERNEL))
/* In the kernel proper, a call away. */
LEAK(platform_device, 0, platform_device_alloc("groundtruth", 0))

static noinline void plant_leak_krealloc_moved(void)
{
	void *p = kmalloc(512, GFP_KERNEL);

	p = krealloc(p, opaque(4096), GFP_KERNEL);
	gt_planted(p, 4096);
}

static noinline void plant_leak_krealloc_in_place(void)
{
	void *p = kmalloc(opaque(400), GFP_KERNEL);

	p = krealloc(p, opaque(512), GFP_KERNEL);
	gt_planted(p, 512);
}

/* One call for eight objects: three are kept, two freed, three leaked. */
static void *volatile bulk_kept[3];

static noinline void plant_live_bulk(void **objects)
{
	int i;

	for (i = 0; i < 3; i++) {
		bulk_kept[i] = objects[i];
		gt_planted_n(i, objects[i], 96);
	}
}

static noinline void plant_leak_bulk(void)
{
	void *objects[8];
	int i;

	if (kmem_cache_alloc_bulk(own(), GFP_KERNEL, 8, objects) != 8)
		return;
	plant_live_bulk(objects);
	for (i = 5; i < 8; i++)
		gt_planted_n(i, objects[i], 96);
	kmem_cache_free_bulk(own(), 2, objects + 3);
	memset(objects, 0, sizeof(objects));
	barrier_data(objects);
}

/* The address had another owner, which freed it. */
static noinline void reuse_first_owner(void)
{
	void *p = kmem_cache_alloc(own(), GFP_KERNEL);

	barrier_data(p);
	kmem_cache_free(own(), p);
}

static noinline void plant_leak_reused(void)
{
	void *p;

	reuse_first_owner();
	p = kmem_cache_alloc(own(), GFP_KERNEL);
	gt_planted(p, 96);
}

/* A pool takes from its reserve only what the slab refuses. */
static mempool_t *volatile pool;

static noinline void plant_leak_mempool(void)
{
	void *p;

	pool = mempool_create_kmalloc_pool(1, 256);
	if (!pool)
		return;
	p = mempool_alloc(pool, GFP_KERNEL);
	gt_planted(p, 256);
}

const struct gt_plant gt_slab_leaks[] = {
	GT_PLANT(plant_leak_kmalloc),
	GT_PLANT(plant_leak_kmalloc_8),
	GT_PLANT(plant_leak_kmalloc_96),
	GT_PLANT(plant_leak_kmalloc_8k),
	GT_PLANT(plant_leak_kmalloc_opaque),
	GT_PLANT(plant_leak_kmalloc_atomic),
	GT_PLANT(plant_leak_kmalloc_accounted),
	GT_PLANT(plant_leak_kmalloc_reclaimable),
	GT_PLANT(plant_leak_kmalloc_dma),
	GT_PLANT(plant_leak_kzalloc),
	GT_PLANT(plant_leak_kmalloc_node),
	GT_PLANT(plant_leak_kmalloc_node_opaque),
	GT_PLANT(plant_leak_kzalloc_node),
	GT_PLANT(plant_leak_kcalloc),
	GT_PLANT(plant_leak_kcalloc_node),
	GT_PLANT(plant_leak_kmalloc_array),
	GT_PLANT(plant_leak_kmemdup),
	GT_PLANT(plant_leak_kstrdup),
	GT_PLANT(plant_leak_kstrndup),
	GT_PLANT(plant_leak_kasprintf),
	GT_PLANT(plant_leak_krealloc_null),
	GT_PLANT(plant_leak_krealloc_moved),
	GT_PLANT(plant_leak_krealloc_in_place),
	GT_PLANT(plant_leak_kmalloc_large),
	GT_PLANT(plant_leak_kmalloc_large_opaque),
	GT_PLANT(plant_leak_kmalloc_large_node),
	GT_PLANT(plant_leak_kvmalloc_small),
	GT_PLANT(plant_leak_kmem_cache_alloc),
	GT_PLANT(plant_leak_kmem_cache_zalloc),
	GT_PLANT(plant_leak_kmem_cache_alloc_node),
	GT_PLANT(plant_leak_kmem_cache_alloc_lru),
	GT_PLANT(plant_leak_platform_device),
	GT_PLANT(plant_leak_bulk),
	GT_PLANT(plant_leak_reused),
	GT_PLANT(plant_leak_mempool),
	{}
};
