// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/anon_inodes.h>
#include <linux/bio.h>
#include <linux/bitmap.h>
#include <linux/cred.h>
#include <linux/etherdevice.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mempool.h>
#include <linux/scatterlist.h>
#include <linux/skbuff.h>
#include <linux/vmalloc.h>

#include "variety.h"

static noinline size_t opaque(size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	return size;
}

#define LEAK(name, size, alloc)                       \
	static noinline void plant_leak_##name(void)  \
	{                                             \
		void *p = (alloc);                    \
                                                      \
		if (!IS_ERR_OR_NULL(p))               \
			planted(p, (size));           \
	}

static const struct file_operations no_operations;
static const char text[1024];

LEAK(bitmap, 1024, bitmap_zalloc(8192, GFP_KERNEL))
LEAK(kmemdup_nul, 1024, kmemdup_nul(text, 1023, GFP_KERNEL))
LEAK(megabytes, 3 << 20, kmalloc(opaque(3 << 20), GFP_KERNEL | __GFP_NOWARN))
LEAK(huge_area, 6 << 20, vmalloc_huge(6 << 20, GFP_KERNEL))
LEAK(skb, 0, alloc_skb(3000, GFP_KERNEL))
LEAK(bio, 0, bio_kmalloc(2, GFP_KERNEL))
LEAK(file, 0, anon_inode_getfile("[variety]", &no_operations, NULL, O_RDWR))
LEAK(cred, 0, prepare_creds())
LEAK(netdev, 0, alloc_etherdev(0))

/* Grown step by step: only the last one is left. */
static noinline void plant_leak_grown(void)
{
	char *p = NULL, *larger;
	size_t size;

	for (size = 8; size <= 8192; size += size / 2 + 8) {
		larger = krealloc(p, opaque(size), GFP_KERNEL);
		if (!larger)
			return;
		p = larger;
	}
	p = krealloc(p, opaque(8192), GFP_KERNEL);
	planted(p, 8192);
}

/* Larger than a page, and no power of two. */
static noinline void plant_leak_large_cache(void)
{
	struct kmem_cache *cache;

	cache = kmem_cache_create("variety_large", 5000, 0, 0, NULL);
	planted(kmem_cache_alloc(cache, GFP_KERNEL), 5000);
}

/* The cache stays, because of the object. */
static noinline void plant_leak_destroyed_cache(void)
{
	struct kmem_cache *cache;

	cache = kmem_cache_create("variety_gone", 416, 0, 0, NULL);
	planted(kmem_cache_alloc(cache, GFP_KERNEL), 416);
	kmem_cache_destroy(cache);
}

/* From a pool's reserve: the pool does not know it any more. */
static mempool_t *volatile pool;

static noinline void plant_leak_reserve(void)
{
	pool = mempool_create_slab_pool(1, own_cache);
	if (pool)
		planted(mempool_alloc(pool, GFP_KERNEL), OWN_SIZE);
}

/* An error path that forgets what it made so far. */
struct three {
	void *first, *second;
};

static noinline int plant_leak_error_path(void)
{
	struct three *t = own_alloc();

	t->first = own_alloc();
	t->second = kmalloc(opaque(SIZE_MAX / 2), GFP_KERNEL | __GFP_NOWARN);
	if (!t->second) {
		planted(t->first, OWN_SIZE);
		t->first = NULL;
		kmem_cache_free(own_cache, t);
		return -ENOMEM;
	}
	return 0;
}

/* Nobody but a device would know a physical address. */
static phys_addr_t physical;

static noinline void plant_leak_physical(void)
{
	void *p = own_alloc();

	planted(p, OWN_SIZE);
	WRITE_ONCE(physical, virt_to_phys(p));
}

/* An object per page of a table that is gone. */
static noinline void plant_leak_table(void)
{
	void **table = kvmalloc_array(4096, sizeof(void *), GFP_KERNEL);

	if (!table)
		return;
	table[4095] = own_alloc();
	planted(table[4095], OWN_SIZE);
	kvfree(table);
}

static noinline void plant_leak_sg_table(void)
{
	struct sg_table table;

	if (sg_alloc_table(&table, 100, GFP_KERNEL))
		return;
	planted(table.sgl, 0);
	memset(&table, 0, sizeof(table));
	barrier_data(&table);
}

void plant_leaks(void)
{
	static void (*const plants[])(void) = {
		plant_leak_bitmap, plant_leak_kmemdup_nul, plant_leak_megabytes,
		plant_leak_huge_area, plant_leak_skb, plant_leak_bio,
		plant_leak_file, plant_leak_cred, plant_leak_netdev,
		plant_leak_grown, plant_leak_large_cache,
		plant_leak_destroyed_cache, plant_leak_reserve,
		plant_leak_physical, plant_leak_table, plant_leak_sg_table,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(plants); i++) {
		plants[i]();
		scrub();
	}
	plant_leak_error_path();
}
