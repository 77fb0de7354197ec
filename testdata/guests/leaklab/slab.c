// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Slab caches: blocks of pages cut into objects of one size, of which the free
 * ones are in a list that goes through them.
 */
#include "mm.h"

struct kmem_cache {
	unsigned long flags;
	unsigned int size; /* distance of objects */
	unsigned int object_size;
	unsigned int offset; /* of the list's pointer in a free object */
	unsigned int red_left_pad;
	unsigned int order; /* of a slab */
	int refcount;
	const char *name;
	struct list_head list;
	struct list_head partial; /* slabs with free objects */
};

/* Both must agree on what tells pages apart. */
_Static_assert(offsetof(struct page, page_type) == offsetof(struct slab, __page_type), "page type");
_Static_assert(sizeof(struct slab) <= sizeof(struct page), "size of struct slab");

struct list_head slab_caches = LIST_HEAD_INIT(slab_caches);
static spinlock_t slab_lock;
static struct kmem_cache boot_cache; /* that of the other caches */
struct kmem_cache *kmem_cache = &boot_cache;

#define KMALLOC_SHIFT_LOW 5
static struct kmem_cache *kmalloc_caches[PAGE_SHIFT + 1];

static void **link_of(struct kmem_cache *s, void *object) { return (void **)((char *)object + s->offset); }

static struct slab *new_slab(struct kmem_cache *s)
{
	struct page *page = __alloc_pages(GFP_KERNEL, s->order, 0, NULL);
	struct slab *slab = (struct slab *)page;
	char *base, *at;

	if (!page)
		return NULL;
	prep_compound_page(page, s->order);
	set_page_type(page, PGTY_slab);
	base = page_address(page);
	slab->slab_cache = s;
	slab->freelist = NULL;
	slab->counters = 0;
	for (at = base; at + s->size <= base + (PAGE_SIZE << s->order); at += s->size) {
		*link_of(s, at) = slab->freelist;
		slab->freelist = at;
		slab->objects++;
	}
	list_add(&slab->slab_list, &s->partial);
	return slab;
}

static inline void *slab_alloc(struct kmem_cache *s)
{
	struct slab *slab = NULL;
	void *object = NULL;

	spin_lock(&slab_lock);
	if (!list_empty(&s->partial))
		slab = container_of(s->partial.next, struct slab, slab_list);
	else
		slab = new_slab(s);
	if (slab) {
		object = slab->freelist;
		slab->freelist = *link_of(s, object);
		slab->inuse++;
		if (!slab->freelist)
			list_del(&slab->slab_list);
	}
	spin_unlock(&slab_lock);
	return object;
}

static void slab_free(struct slab *slab, void *object)
{
	struct kmem_cache *s = slab->slab_cache;

	spin_lock(&slab_lock);
	if (!slab->freelist)
		list_add(&slab->slab_list, &s->partial);
	*link_of(s, object) = slab->freelist;
	slab->freelist = object;
	if (--slab->inuse == 0) {
		list_del(&slab->slab_list);
		__free_pages((struct page *)slab, s->order);
	}
	spin_unlock(&slab_lock);
}

static int is_slab(const struct page *page) { return page->page_type >> 24 == PGTY_slab; }

static void init_cache(struct kmem_cache *s, const char *name, unsigned int size)
{
	s->name = name;
	s->object_size = size;
	s->size = ALIGN(size, 2 * (unsigned int)sizeof(long));
	s->offset = (s->size / 2) & ~(sizeof(long) - 1);
	while (PAGE_SIZE << s->order < 4UL * s->size)
		s->order++;
	s->refcount = 1;
	INIT_LIST_HEAD(&s->partial);
	list_add_tail(&s->list, &slab_caches);
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size)
{
	struct kmem_cache *s = kmem_cache_alloc(kmem_cache, GFP_KERNEL);

	BUG_ON(!s);
	memset(s, 0, sizeof(*s));
	init_cache(s, name, size);
	return s;
}

noinline void *kmem_cache_alloc(struct kmem_cache *s, __always_unused gfp_t gfp) { return slab_alloc(s); }

noinline void kmem_cache_free(__always_unused struct kmem_cache *s, void *object)
{
	slab_free((struct slab *)virt_to_head_page(object), object);
}

noinline int kmem_cache_alloc_bulk(struct kmem_cache *s, __always_unused gfp_t gfp, size_t n, void **p)
{
	for (size_t i = 0; i < n; i++)
		if (!(p[i] = slab_alloc(s)))
			return i;
	return n;
}

noinline void kmem_cache_free_bulk(__always_unused struct kmem_cache *s, size_t n, void **p)
{
	for (size_t i = 0; i < n; i++)
		slab_free((struct slab *)virt_to_head_page(p[i]), p[i]);
}

noinline void *__kmalloc(size_t size, __always_unused gfp_t gfp)
{
	unsigned int shift = KMALLOC_SHIFT_LOW;

	while (1UL << shift < size)
		shift++;
	return slab_alloc(kmalloc_caches[shift]);
}

noinline void *kmalloc_large(size_t size, __always_unused gfp_t gfp)
{
	unsigned int order = 0;
	struct page *page;

	while (PAGE_SIZE << order < size)
		order++;
	page = __alloc_pages(GFP_KERNEL, order, 0, NULL);
	if (!page)
		return NULL;
	prep_compound_page(page, order);
	page->private = order;
	return page_address(page);
}

noinline void kfree(const void *p)
{
	struct page *page;

	if (!p)
		return;
	page = virt_to_head_page(p);
	if (is_slab(page))
		slab_free((struct slab *)page, (void *)p);
	else
		__free_pages(page, page->private);
}

noinline void *krealloc(const void *p, size_t size, gfp_t gfp)
{
	struct page *page = virt_to_head_page(p);
	size_t old = is_slab(page) ? ((struct slab *)page)->slab_cache->object_size : PAGE_SIZE << page->private;
	void *q;

	if (size <= old)
		return (void *)p;
	q = kmalloc(size, gfp);
	if (q) {
		memcpy(q, p, old);
		kfree(p);
	}
	return q;
}

void kmem_cache_init(void)
{
	static const char *const names[] = {
		"kmalloc-32", "kmalloc-64", "kmalloc-128", "kmalloc-256", "kmalloc-512",
		"kmalloc-1k", "kmalloc-2k", "kmalloc-4k", "kmalloc-8k", "kmalloc-16k",
		"kmalloc-32k", "kmalloc-64k",
	};

	init_cache(&boot_cache, "kmem_cache", sizeof(struct kmem_cache));
	for (unsigned int i = KMALLOC_SHIFT_LOW; i <= PAGE_SHIFT; i++)
		kmalloc_caches[i] = kmem_cache_create(names[i - KMALLOC_SHIFT_LOW], 1U << i);
}
