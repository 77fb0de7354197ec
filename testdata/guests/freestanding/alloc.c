/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest.h"

/*
 * A slab of one size of objects with a free list, and a lock for two CPUs.
 * __kmalloc and kfree are what is hooked; plain_alloc and plain_free are the
 * same code under names that nobody hooks.
 */
#define OBJECT 128
#define OBJECTS 8192

static u8 heap[OBJECTS][OBJECT] __attribute__((aligned(4096)));
static void *free_list;
static u64 fresh;
static volatile int heap_lock;

static inline void lock(void)
{
	while (__sync_lock_test_and_set(&heap_lock, 1))
		cpu_relax();
}

static inline void unlock(void) { __sync_lock_release(&heap_lock); }

static inline void *take(u64 size)
{
	void *p = 0;

	if (size > OBJECT)
		return 0;
	lock();
	if (free_list) {
		p = free_list;
		free_list = *(void **)p;
	} else if (fresh < OBJECTS) {
		p = heap[fresh++];
	}
	unlock();
	if (p)
		*(u64 *)p = 0;
	return p;
}

static inline void give(void *p)
{
	if (!p)
		return;
	lock();
	*(void **)p = free_list;
	free_list = p;
	unlock();
}

noinline void *__kmalloc(u64 size, u32 flags) { return take(size); }
noinline void kfree(const void *p) { give((void *)p); }
/* The compiler keeps the order of functions (-fno-toplevel-reorder). */
noinline void kfree_end(void) {}
noinline void *plain_alloc(u64 size, u32 flags) { return take(size); }
noinline void plain_free(const void *p) { give((void *)p); }

noinline int kmem_cache_alloc_bulk(void *cache, u32 flags, u64 n, void **p)
{
	for (u64 i = 0; i < n; i++)
		p[i] = take(OBJECT);
	return n;
}

noinline void kmem_cache_free_bulk(void *cache, u64 n, void **p)
{
	for (u64 i = 0; i < n; i++)
		give(p[i]);
}
