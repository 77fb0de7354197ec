/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory, with the structures of Linux (6.12, include/linux/mm_types.h,
 * mmzone.h, vmalloc.h, mm/slab.h) cut down to what this kernel uses of them.
 */
#ifndef MM_H
#define MM_H

#include "types.h"
#include "arch.h"

#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define NR_CPUS 2
#define MAX_ORDER 11
#define GFP_KERNEL 0xcc0U

/* The image's own place is a second map of it, or a part of the direct one. */
#define __va(pa) ((void *)((unsigned long)(pa) - PHYS_OFFSET + PAGE_OFFSET))
#define __pa(va) ((unsigned long)(va) - PAGE_OFFSET + PHYS_OFFSET)
#define __pa_symbol(va) ((unsigned long)(va) - LOAD_OFFSET)
#define PFN_START (PHYS_OFFSET >> PAGE_SHIFT)
#define NR_PAGES (RAM_SIZE >> PAGE_SHIFT)

enum pageflags { PG_locked, PG_lru = 5, PG_reserved = 14, PG_swapbacked = 18 };
enum pagetype { PGTY_buddy = 0xf0, PGTY_table = 0xf2, PGTY_slab = 0xf5 };
enum migratetype { MIGRATE_UNMOVABLE, MIGRATE_TYPES };

struct page {
	unsigned long flags;
	union {
		struct {
			union {
				struct list_head lru;
				struct list_head buddy_list;
				struct list_head pcp_list;
			};
			void *mapping;
			unsigned long index;
			unsigned long private; /* order, of a free or large block */
		};
		unsigned long compound_head; /* plus one, in a tail */
	};
	union {
		unsigned int page_type;
		int _mapcount;
	};
	int _refcount;
} __aligned(8 * sizeof(long)); /* a power of two: no division anywhere */

struct kmem_cache;

/* Lies over the struct page of a slab's first page. */
struct slab {
	unsigned long __page_flags;
	struct kmem_cache *slab_cache;
	struct list_head slab_list;
	void *freelist;
	union {
		unsigned long counters;
		struct {
			unsigned inuse : 16;
			unsigned objects : 15;
			unsigned frozen : 1;
		};
	};
	unsigned int __page_type;
	int __page_refcount;
};

struct free_area {
	struct list_head free_list[MIGRATE_TYPES];
	unsigned long nr_free;
};

struct zone {
	struct free_area free_area[MAX_ORDER];
};

typedef struct pglist_data {
	struct zone node_zones[1];
	struct page *node_mem_map;
	unsigned long node_start_pfn;
} pg_data_t;

struct vm_struct {
	struct vm_struct *next;
	void *addr;
	unsigned long size;
	unsigned long flags;
	struct page **pages;
	unsigned int nr_pages;
	const void *caller;
};

struct vmap_area {
	unsigned long va_start, va_end;
	struct list_head list;
	struct vm_struct *vm;
};

struct pcpu_chunk {
	struct list_head list;
	void *base_addr;
	unsigned long *alloc_map;
	unsigned long *bound_map;
	int start_offset;
	int end_offset;
	int nr_pages;
	unsigned long populated[1];
};

/* init.c */
extern pte_t swapper_pg_dir[];
extern char _text[], _etext[], _sdata[], _end[];
void paging_init(void);
void *memblock_alloc(size_t size, size_t align);
unsigned long memblock_end(void);
void map_page(unsigned long va, pte_t leaf);
void unmap_page(unsigned long va);

/* page.c */
extern struct page *mem_map;
void mem_init(void);
struct page *__alloc_pages(gfp_t gfp, unsigned int order, int nid, void *nodemask);
void __free_pages(struct page *page, unsigned int order);
void set_page_type(struct page *page, enum pagetype type);
void prep_compound_page(struct page *page, unsigned int order);
static inline struct page *pfn_to_page(unsigned long pfn) { return mem_map + (pfn - PFN_START); }
static inline unsigned long page_to_phys(const struct page *p) { return ((unsigned long)(p - mem_map) << PAGE_SHIFT) + PHYS_OFFSET; }
static inline void *page_address(const struct page *p) { return __va(page_to_phys(p)); }
struct page *virt_to_head_page(const void *p);

/* slab.c */
void kmem_cache_init(void);
struct kmem_cache *kmem_cache_create(const char *name, unsigned int size);
void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *s, void *object);
int kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p);
void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p);
void *__kmalloc(size_t size, gfp_t gfp);
void *kmalloc_large(size_t size, gfp_t gfp);
void *krealloc(const void *p, size_t size, gfp_t gfp);
void kfree(const void *p);
#define kmalloc(size, gfp) ((size) > KMALLOC_MAX_CACHE_SIZE ? kmalloc_large(size, gfp) : __kmalloc(size, gfp))
#define KMALLOC_MAX_CACHE_SIZE PAGE_SIZE

/* vmalloc.c */
void vmalloc_init(void);
void *__vmalloc_node_range(unsigned long size, unsigned long align, unsigned long start, unsigned long end, gfp_t gfp, const void *caller);
void *vmalloc(unsigned long size);
void vfree(const void *p);

/* percpu.c */
#define __percpu
#define DEFINE_PER_CPU(type, name) __section(".data..percpu") type name
#define DECLARE_PER_CPU(type, name) extern type name
#define per_cpu_ptr(p, cpu) ({						\
	unsigned long __p = (unsigned long)(p);				\
	OPTIMIZER_HIDE_VAR(__p);					\
	(__typeof__(p))(__p + __per_cpu_offset[cpu]); })
#define this_cpu_ptr(p) ({						\
	unsigned long __p = (unsigned long)(p);				\
	OPTIMIZER_HIDE_VAR(__p);					\
	(__typeof__(p))(__p + arch_cpu_offset()); })
extern unsigned long __per_cpu_offset[NR_CPUS];
extern char __per_cpu_start[], __per_cpu_end[];
void setup_per_cpu_areas(void);
void *pcpu_alloc(size_t size, size_t align, int reserved, gfp_t gfp);
void *__alloc_percpu(size_t size, size_t align);
void free_percpu(void *p);

/* rcu.c */
struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void rcu_do_batch(void);

#endif
