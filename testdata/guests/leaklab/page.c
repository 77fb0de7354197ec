// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The buddy allocator: free blocks of 2^order pages in lists, each marked in
 * its first page's descriptor.
 */
#include "mm.h"

struct page *mem_map;
static spinlock_t zone_lock;
pg_data_t contig_page_data;
#ifdef ARCH_MEMORY_BASES
unsigned long page_offset_base, vmemmap_base;
#endif

/* The types' place is a count of mappings in pages that have no type. */
void set_page_type(struct page *page, enum pagetype type) { page->page_type = (unsigned int)type << 24; }
static void clear_page_type(struct page *page) { page->_mapcount = -1; }

static int is_free(const struct page *page, unsigned int order)
{
	return page->page_type >> 24 == PGTY_buddy && page->private == order;
}

static void put_free(struct page *page, unsigned int order, enum migratetype type)
{
	struct free_area *area = &contig_page_data.node_zones[0].free_area[order];

	set_page_type(page, PGTY_buddy);
	page->private = order;
	list_add(&page->buddy_list, &area->free_list[type]);
	area->nr_free++;
}

static void take_free(struct page *page, unsigned int order)
{
	list_del(&page->buddy_list);
	clear_page_type(page);
	page->private = 0;
	contig_page_data.node_zones[0].free_area[order].nr_free--;
}

/* Gives a block back, joined with its other half as often as that is free. */
static void free_one_page(struct page *page, unsigned int order)
{
	unsigned long i = page - mem_map;

	for (; order < MAX_ORDER - 1; order++) {
		unsigned long buddy = i ^ 1UL << order;

		if (buddy + (1UL << order) > NR_PAGES || !is_free(mem_map + buddy, order))
			break;
		take_free(mem_map + buddy, order);
		i &= ~(1UL << order);
	}
	put_free(mem_map + i, order, MIGRATE_UNMOVABLE);
}

noinline struct page *__alloc_pages(gfp_t gfp, unsigned int order, __always_unused int nid, __always_unused void *nodemask)
{
	struct zone *zone = &contig_page_data.node_zones[0];

	spin_lock(&zone_lock);
	for (unsigned int o = order; o < MAX_ORDER; o++) {
		struct list_head *list = &zone->free_area[o].free_list[MIGRATE_UNMOVABLE];
		struct page *page;

		if (list_empty(list))
			continue;
		page = container_of(list->next, struct page, buddy_list);
		take_free(page, o);
		while (o-- > order)
			put_free(page + (1UL << o), o, MIGRATE_UNMOVABLE);
		spin_unlock(&zone_lock);
		for (unsigned long i = 0; i < 1UL << order; i++) {
			memset(&page[i], 0, sizeof(*page));
			clear_page_type(&page[i]);
			page[i]._refcount = i == 0;
		}
		(void)gfp;
		return page;
	}
	spin_unlock(&zone_lock);
	return NULL;
}

static noinline void free_unref_page(struct page *page, unsigned int order)
{
	spin_lock(&zone_lock);
	free_one_page(page, order);
	spin_unlock(&zone_lock);
}

noinline void __free_pages(struct page *page, unsigned int order)
{
	for (unsigned long i = 0; i < 1UL << order; i++) {
		memset(&page[i], 0, sizeof(*page));
		clear_page_type(&page[i]);
	}
	free_unref_page(page, order);
}

void prep_compound_page(struct page *page, unsigned int order)
{
	for (unsigned long i = 1; i < 1UL << order; i++)
		page[i].compound_head = (unsigned long)page | 1;
}

struct page *virt_to_head_page(const void *p)
{
	struct page *page = pfn_to_page(__pa(p) >> PAGE_SHIFT);

	if (page->compound_head & 1)
		page = (struct page *)(page->compound_head - 1);
	return page;
}

/* What is behind the boot's own memory goes to the allocator. */
void mem_init(void)
{
	unsigned long first = (ALIGN(memblock_end(), PAGE_SIZE) - PHYS_OFFSET) >> PAGE_SHIFT;
	struct zone *zone = &contig_page_data.node_zones[0];

	for (int o = 0; o < MAX_ORDER; o++)
		for (int t = 0; t < MIGRATE_TYPES; t++)
			INIT_LIST_HEAD(&zone->free_area[o].free_list[t]);
	mem_map = (struct page *)VMEMMAP_START;
	contig_page_data.node_mem_map = mem_map;
	contig_page_data.node_start_pfn = PFN_START;
#ifdef ARCH_MEMORY_BASES
	page_offset_base = PAGE_OFFSET - PHYS_OFFSET;
	vmemmap_base = VMEMMAP_START - PFN_START * sizeof(struct page);
#endif
	for (unsigned long i = 0; i < NR_PAGES; i++) {
		clear_page_type(&mem_map[i]);
		if (i < first)
			mem_map[i].flags = 1UL << PG_reserved;
	}
	for (unsigned long i = first; i < NR_PAGES;) {
		unsigned int order = 0;

		while (order < MAX_ORDER - 1 && !(i & 1UL << order) && i + (2UL << order) <= NR_PAGES)
			order++;
		free_unref_page(&mem_map[i], order);
		i += 1UL << order;
	}
}
