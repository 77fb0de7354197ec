// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that a root of the kernel or of a module points to. Volatile, because
 * the compiler drops a variable that is only ever written.
 */
#include <linux/cache.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mempool.h>
#include <linux/percpu.h>
#include <linux/vmalloc.h>

#include "groundtruth.h"
#include "../holder/holder.h"

/* Not zero, and so in .data. */
static void *volatile in_data = (void *)1;
static void *volatile in_bss;
static void *volatile in_read_mostly __read_mostly = (void *)1;
static void *volatile in_ro_after_init __ro_after_init;
static DEFINE_PER_CPU(void *, in_static_percpu);
static DEFINE_PER_CPU(void *, in_static_percpu_other);
static void *__percpu *volatile in_dynamic_percpu;

static noinline void plant_live_data(void)
{
	in_data = kmalloc(64, GFP_KERNEL);
	gt_planted(in_data, 64);
}

static noinline void plant_live_bss(void)
{
	in_bss = kmalloc(64, GFP_KERNEL);
	gt_planted(in_bss, 64);
}

static noinline void plant_live_read_mostly(void)
{
	in_read_mostly = kmalloc(64, GFP_KERNEL);
	gt_planted(in_read_mostly, 64);
}

static noinline void plant_live_ro_after_init(void)
{
	in_ro_after_init = kmalloc(64, GFP_KERNEL);
	gt_planted(in_ro_after_init, 64);
}

static noinline void plant_live_static_local(void)
{
	static void *volatile local;

	local = kmalloc(64, GFP_KERNEL);
	gt_planted(local, 64);
}

static noinline void plant_live_static_percpu(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	WRITE_ONCE(*per_cpu_ptr(&in_static_percpu, 0), p);
	gt_planted(p, 64);
}

static noinline void plant_live_static_percpu_other(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	WRITE_ONCE(*per_cpu_ptr(&in_static_percpu_other, gt_last_cpu()), p);
	gt_planted(p, 64);
}

static noinline void plant_live_dynamic_percpu(void)
{
	void *p = kmalloc(64, GFP_KERNEL);

	in_dynamic_percpu = alloc_percpu(void *);
	if (!in_dynamic_percpu)
		return;
	WRITE_ONCE(*per_cpu_ptr(in_dynamic_percpu, gt_last_cpu()), p);
	gt_planted_n(0, p, 64);
	gt_planted_n(1, (__force void *)in_dynamic_percpu, sizeof(void *));
}

/* Only the address of one CPU's copy is kept, not the per-CPU address. */
static void *volatile percpu_copy;

static noinline void plant_live_percpu_copy(void)
{
	char __percpu *p = __alloc_percpu(20480, 64);

	if (!p)
		return;
	percpu_copy = per_cpu_ptr(p, 0);
	gt_planted((__force void *)p, 20480);
}

static void *volatile interior, *volatile last_byte;
static void *volatile tagged, *volatile unaligned;

static noinline void plant_live_interior(void)
{
	interior = kmalloc(256, GFP_KERNEL) + 40;
	gt_planted(interior - 40, 256);
}

static noinline void plant_live_last_byte(void)
{
	last_byte = kmalloc(128, GFP_KERNEL) + 127;
	gt_planted(last_byte - 127, 128);
}

static noinline void plant_live_tagged(void)
{
	tagged = kmalloc(64, GFP_KERNEL) + 3;
	gt_planted(tagged - 3, 64);
}

static noinline void plant_live_unaligned(void)
{
	unaligned = kmalloc(8192, GFP_KERNEL) + 4097;
	gt_planted(unaligned - 4097, 8192);
}

static void *volatile large, *volatile large_interior;
static void *volatile area, *volatile area_middle;
static void *volatile moved, *volatile kv;

static noinline void plant_live_large(void)
{
	large = kmalloc(16384, GFP_KERNEL);
	gt_planted(large, 16384);
}

static noinline void plant_live_large_interior(void)
{
	large_interior = kmalloc(65536, GFP_KERNEL) + 40000;
	gt_planted(large_interior - 40000, 65536);
}

static noinline void plant_live_vmalloc(void)
{
	area = vmalloc(3 * PAGE_SIZE);
	gt_planted(area, 3 * PAGE_SIZE);
}

static noinline void plant_live_vmalloc_middle(void)
{
	area_middle = vmalloc(3 * PAGE_SIZE) + PAGE_SIZE + 24;
	gt_planted(area_middle - PAGE_SIZE - 24, 3 * PAGE_SIZE);
}

static noinline void plant_live_kvmalloc(void)
{
	kv = kvmalloc(8 << 20, GFP_KERNEL);
	gt_planted(kv, 8 << 20);
}

/* Grows within its slab object: the address stays, and so must the object. */
static noinline void plant_live_krealloc_in_place(void)
{
	moved = kmalloc(40, GFP_KERNEL);
	moved = krealloc(moved, 64, GFP_KERNEL);
	gt_planted(moved, 64);
}

/* The old one stays when there is no memory for the new one. */
static noinline void plant_live_krealloc_failed(void)
{
	static void *volatile kept;
	size_t huge = KMALLOC_MAX_SIZE * 2;

	OPTIMIZER_HIDE_VAR(huge);
	kept = kmalloc(64, GFP_KERNEL);
	if (!krealloc(kept, huge, GFP_NOWAIT | __GFP_NOWARN))
		gt_planted(kept, 64);
}

/* A reserve that only the pool's array of elements points to. */
static noinline void plant_live_mempool(void)
{
	static mempool_t *volatile pool;

	pool = mempool_create_kmalloc_pool(2, 256);
	if (!pool)
		return;
	gt_planted_n(0, pool, 0);
	gt_planted_n(1, pool->elements[0], 256);
	gt_planted_n(2, pool->elements[1], 256);
}

static void typesafe_init(void *object)
{
	memset(object, 0, 80);
}

static noinline void plant_live_typesafe(void)
{
	static struct kmem_cache *cache;
	static void *volatile kept[2];

	cache = kmem_cache_create("gt_typesafe", 80, 0, SLAB_TYPESAFE_BY_RCU,
				  typesafe_init);
	kept[0] = kmem_cache_alloc(cache, GFP_KERNEL);
	kept[1] = kmem_cache_alloc(cache, GFP_KERNEL);
	gt_planted_n(0, kept[0], 80);
	gt_planted_n(1, kept[1], 80);
	kmem_cache_free(cache, kept[1]);
}

static char *label = "";
module_param(label, charp, 0444);
MODULE_PARM_DESC(label, "any text: the kernel keeps a copy of it");

static noinline void plant_live_param(void)
{
	if (*label)
		gt_planted(label, strlen(label) + 1);
}

/* In .data and .bss of another module, if that is loaded. */
static noinline void plant_live_other_module(void)
{
	typeof(&holder_keep) keep = symbol_get(holder_keep);
	void *p;

	if (!keep)
		return;
	p = kmalloc(64, GFP_KERNEL);
	keep(HOLDER_DATA, p);
	gt_planted_n(0, p, 64);
	p = kmalloc(64, GFP_KERNEL);
	keep(HOLDER_BSS, p);
	gt_planted_n(1, p, 64);
	p = NULL;
	OPTIMIZER_HIDE_VAR(p);
}

const struct gt_plant gt_root_lives[] = {
	GT_PLANT(plant_live_data),
	GT_PLANT(plant_live_bss),
	GT_PLANT(plant_live_read_mostly),
	GT_PLANT(plant_live_ro_after_init),
	GT_PLANT(plant_live_static_local),
	GT_PLANT(plant_live_static_percpu),
	GT_PLANT(plant_live_static_percpu_other),
	GT_PLANT(plant_live_dynamic_percpu),
	GT_PLANT(plant_live_percpu_copy),
	GT_PLANT(plant_live_interior),
	GT_PLANT(plant_live_last_byte),
	GT_PLANT(plant_live_tagged),
	GT_PLANT(plant_live_unaligned),
	GT_PLANT(plant_live_large),
	GT_PLANT(plant_live_large_interior),
	GT_PLANT(plant_live_vmalloc),
	GT_PLANT(plant_live_vmalloc_middle),
	GT_PLANT(plant_live_kvmalloc),
	GT_PLANT(plant_live_krealloc_in_place),
	GT_PLANT(plant_live_krealloc_failed),
	GT_PLANT(plant_live_mempool),
	GT_PLANT(plant_live_typesafe),
	GT_PLANT(plant_live_param),
	GT_PLANT(plant_live_other_module),
	{}
};
