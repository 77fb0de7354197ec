// SPDX-License-Identifier: GPL-2.0-or-later
/* Leaks of virtually mapped areas and of per-CPU memory. */
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/vmalloc.h>

#include "groundtruth.h"

#define LEAK(name, size, alloc)                       \
	static noinline void plant_leak_##name(void)  \
	{                                             \
		void *p = (alloc);                    \
                                                      \
		if (p)                                \
			gt_planted(p, (size));        \
	}

LEAK(vmalloc, 3 * PAGE_SIZE, vmalloc(3 * PAGE_SIZE))
LEAK(vzalloc, PAGE_SIZE, vzalloc(PAGE_SIZE))
LEAK(vmalloc_node, 2 * PAGE_SIZE, vmalloc_node(2 * PAGE_SIZE, 0))
LEAK(vzalloc_node, 2 * PAGE_SIZE, vzalloc_node(2 * PAGE_SIZE, 0))
LEAK(vmalloc_user, 2 * PAGE_SIZE, vmalloc_user(2 * PAGE_SIZE))
LEAK(vmalloc_32, PAGE_SIZE, vmalloc_32(PAGE_SIZE))
LEAK(vmalloc_gfp, 4 * PAGE_SIZE,
     __vmalloc(4 * PAGE_SIZE, GFP_KERNEL_ACCOUNT | __GFP_ZERO))
LEAK(vmalloc_array, 5 * PAGE_SIZE, vmalloc_array(5, PAGE_SIZE))
LEAK(vcalloc, 5 * PAGE_SIZE, vcalloc(5, PAGE_SIZE))
/* More than the slab allocator gives, and so always from vmalloc. */
LEAK(kvmalloc, 8 << 20, kvmalloc(8 << 20, GFP_KERNEL))
LEAK(kvzalloc, 8 << 20, kvzalloc(8 << 20, GFP_KERNEL))
LEAK(kvcalloc, 8 << 20, kvcalloc(2, 4 << 20, GFP_KERNEL))

/*
 * Big enough for a chunk of their own behind the first one: in that, per-CPU
 * addresses are small numbers, which any counter may look like.
 */
#define PCPU_SIZE 20480

static noinline void plant_leak_percpu(void)
{
	void __percpu *p = __alloc_percpu(PCPU_SIZE, 64);

	if (p)
		gt_planted((__force void *)p, PCPU_SIZE);
}

static noinline void plant_leak_percpu_zeroed(void)
{
	void __percpu *p = __alloc_percpu_gfp(PCPU_SIZE, 64, GFP_KERNEL_ACCOUNT);

	if (p)
		gt_planted((__force void *)p, PCPU_SIZE);
}

/* One past the end is another's memory, or nobody's. */
static void *percpu_end;

static noinline void plant_leak_percpu_past_end(void)
{
	char __percpu *p = __alloc_percpu(PCPU_SIZE, 64);

	if (!p)
		return;
	gt_planted((__force void *)p, PCPU_SIZE);
	WRITE_ONCE(percpu_end, (__force char *)p + PCPU_SIZE);
}

static void *vmalloc_end;

static noinline void plant_leak_vmalloc_past_end(void)
{
	char *p = vmalloc(2 * PAGE_SIZE);

	if (!p)
		return;
	gt_planted(p, 2 * PAGE_SIZE);
	WRITE_ONCE(vmalloc_end, p + 2 * PAGE_SIZE);
}

const struct gt_plant gt_area_leaks[] = {
	GT_PLANT(plant_leak_vmalloc),
	GT_PLANT(plant_leak_vzalloc),
	GT_PLANT(plant_leak_vmalloc_node),
	GT_PLANT(plant_leak_vzalloc_node),
	GT_PLANT(plant_leak_vmalloc_user),
	GT_PLANT(plant_leak_vmalloc_32),
	GT_PLANT(plant_leak_vmalloc_gfp),
	GT_PLANT(plant_leak_vmalloc_array),
	GT_PLANT(plant_leak_vcalloc),
	GT_PLANT(plant_leak_kvmalloc),
	GT_PLANT(plant_leak_kvzalloc),
	GT_PLANT(plant_leak_kvcalloc),
	GT_PLANT(plant_leak_percpu),
	GT_PLANT(plant_leak_percpu_zeroed),
	GT_PLANT(plant_leak_percpu_past_end),
	GT_PLANT(plant_leak_vmalloc_past_end),
	{}
};
