/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define noinline __attribute__((noinline, noclone))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void outb(u16 port, u8 v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outw(u16 port, u16 v) { asm volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void cpu_relax(void) { asm volatile("pause" : : : "memory"); }
static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (u64)hi << 32;
}

/* alloc.c */
void *__kmalloc(u64 size, u32 flags);
void kfree(const void *p);
int kmem_cache_alloc_bulk(void *cache, u32 flags, u64 n, void **p);
void kmem_cache_free_bulk(void *cache, u64 n, void **p);
void *plain_alloc(u64 size, u32 flags);
void plain_free(const void *p);
void kfree_end(void);

/* head.S */
void triple_fault(void);
void flags_twice(void);
void __x86_return_thunk(void);

#endif
