// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory whose only reference is in pages, or in a page's descriptor. */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "groundtruth.h"

static noinline void plant_live_page(void)
{
	void **page = (void **)__get_free_page(GFP_KERNEL);

	WRITE_ONCE(page[100], kmalloc(64, GFP_KERNEL));
	gt_planted(page[100], 64);
}

static noinline void plant_live_alloc_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	void **words = page_address(page);

	WRITE_ONCE(words[511], kmalloc(64, GFP_KERNEL));
	gt_planted(words[511], 64);
}

/* Not compound: only the first page has a reference count. */
static noinline void plant_live_pages_last(void)
{
	void **words = (void **)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 2);

	WRITE_ONCE(words[2047], kmalloc(64, GFP_KERNEL));
	gt_planted(words[2047], 64);
}

static noinline void plant_live_compound_last(void)
{
	void **words = (void **)__get_free_pages(
		GFP_KERNEL | __GFP_ZERO | __GFP_COMP, 2);

	WRITE_ONCE(words[2047], kmalloc(64, GFP_KERNEL));
	gt_planted(words[2047], 64);
}

static noinline void plant_live_pages_exact(void)
{
	void **words = alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL | __GFP_ZERO);

	WRITE_ONCE(words[1400], kmalloc(64, GFP_KERNEL));
	gt_planted(words[1400], 64);
}

static noinline void plant_live_page_private(void)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	void *p = kmalloc(64, GFP_KERNEL);

	set_page_private(page, (unsigned long)p);
	gt_planted(p, 64);
}

static noinline void plant_live_in_large(void)
{
	static void **volatile large;

	large = kzalloc(32768, GFP_KERNEL);
	WRITE_ONCE(large[4095], kmalloc(64, GFP_KERNEL));
	gt_planted_n(0, large, 32768);
	gt_planted_n(1, large[4095], 64);
}

static noinline void plant_live_in_vmalloc(void)
{
	static void **volatile area;

	area = vzalloc(3 * PAGE_SIZE);
	WRITE_ONCE(area[1535], kmalloc(64, GFP_KERNEL));
	gt_planted_n(0, area, 3 * PAGE_SIZE);
	gt_planted_n(1, area[1535], 64);
}

static noinline void plant_live_in_vmap(void)
{
	static void **volatile map;
	struct page *pages[3];
	int i;

	for (i = 0; i < 3; i++)
		pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
	map = vmap(pages, 3, VM_MAP, PAGE_KERNEL);
	WRITE_ONCE(map[1100], kmalloc(64, GFP_KERNEL));
	gt_planted(map[1100], 64);
}

const struct gt_plant gt_page_lives[] = {
	GT_PLANT(plant_live_page),
	GT_PLANT(plant_live_alloc_page),
	GT_PLANT(plant_live_pages_last),
	GT_PLANT(plant_live_compound_last),
	GT_PLANT(plant_live_pages_exact),
	GT_PLANT(plant_live_page_private),
	GT_PLANT(plant_live_in_large),
	GT_PLANT(plant_live_in_vmalloc),
	GT_PLANT(plant_live_in_vmap),
	{}
};
