// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory before there are allocators: page tables, and what is never freed. */
#include "mm.h"

struct pt_level {
	unsigned int shift, bits;
};

static const struct pt_level levels[] = PT_LEVELS;
#define LAST (ARRAY_SIZE(levels) - 1)

/* Linux keeps the end of the direct map in both forms. */
void *high_memory;
unsigned long max_low_pfn;

static unsigned long next_free; /* physical */

/* Takes memory behind the image; what it takes stays reserved. */
noinline void *memblock_alloc(size_t size, size_t align)
{
	unsigned long at = ALIGN(next_free, align);

	next_free = at + size;
	BUG_ON(next_free > PHYS_OFFSET + RAM_SIZE);
	return memset(__va(at), 0, size);
}

unsigned long memblock_end(void) { return next_free; }

static void clear_table(pte_t *table, unsigned int level)
{
	for (unsigned long i = 0; i < 1UL << levels[level].bits; i++)
		table[i] = pt_empty(level);
}

/* A table of a level, from the page allocator as soon as there is one. */
static pte_t *new_table(unsigned int level)
{
	size_t size = sizeof(pte_t) << levels[level].bits;
	pte_t *table;

	if (!mem_map) {
		table = memblock_alloc(size, size);
	} else {
		unsigned int order = 0;
		struct page *page;

		while (PAGE_SIZE << order < size)
			order++;
		page = __alloc_pages(GFP_KERNEL, order, 0, NULL);
		BUG_ON(!page);
		set_page_type(page, PGTY_table);
		table = page_address(page);
	}
	clear_table(table, level);
	return table;
}

/* Returns the last level's entry for an address, making what leads to it. */
static pte_t *pte_of(unsigned long va)
{
	pte_t *table = swapper_pg_dir;

	for (unsigned int i = 0;; i++) {
		pte_t *e = table + (va >> levels[i].shift & ((1UL << levels[i].bits) - 1));

		if (i == LAST)
			return e;
		if (pt_is_empty(i, *e))
			*e = pt_table(i, __pa(new_table(i + 1)));
		table = __va(pt_address(i, *e));
	}
}

void map_page(unsigned long va, pte_t leaf)
{
	*pte_of(va) = leaf;
	arch_flush_tlb(va); /* some keep also that there is nothing */
}

void unmap_page(unsigned long va)
{
	*pte_of(va) = pt_empty(LAST);
	arch_flush_tlb(va);
}

static void map_range(unsigned long va, unsigned long pa, unsigned long size)
{
	pte_t *e = NULL;

	for (unsigned long at = va; at < va + size; at += PAGE_SIZE) {
		/* The next entry, or the first one in another table. */
		e = !e || !(at >> PAGE_SHIFT & ((1UL << levels[LAST].bits) - 1)) ? pte_of(at) : e + 1;
		*e = pt_page(pa + at - va);
	}
}

/* Makes the tables that the kernel runs on from here on. */
void paging_init(void)
{
	/* Whole pages: what follows the last descriptor is none in use. */
	size_t map_size = ALIGN(NR_PAGES * sizeof(struct page), PAGE_SIZE);

	next_free = ALIGN(__pa_symbol(_end), PAGE_SIZE);
	max_low_pfn = (PHYS_OFFSET + RAM_SIZE) >> PAGE_SHIFT;
	high_memory = __va(max_low_pfn << PAGE_SHIFT);
	clear_table(swapper_pg_dir, 0);
#ifndef UNMAPPED_DIRECT_MAP /* in need of no tables */
	map_range(PAGE_OFFSET, PHYS_OFFSET, RAM_SIZE);
#endif
	if (__pa_symbol(_text) != __pa(_text))
		map_range((unsigned long)_text, __pa_symbol(_text), _end - _text);
	map_range(VMEMMAP_START, __pa(memblock_alloc(map_size, PAGE_SIZE)), map_size);
	arch_map_devices();
	arch_load_tables(__pa_symbol(swapper_pg_dir));
}
