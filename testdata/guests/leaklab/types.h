/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The C language's small things, as Linux names them. */
#ifndef TYPES_H
#define TYPES_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef __SIZE_TYPE__ size_t;
typedef unsigned int gfp_t;

#define NULL ((void *)0)
#define BITS_PER_LONG (8 * (int)sizeof(long))
#define noinline __attribute__((noinline, noclone))
#define __always_unused __attribute__((unused))
#define __noreturn __attribute__((noreturn))
#define __section(name) __attribute__((section(name)))
#define __aligned(n) __attribute__((aligned(n)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGN(v, unit) (((v) + (unit) - 1) & ~((unit) - 1))
#define offsetof(type, member) __builtin_offsetof(type, member)
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define barrier() __asm__ volatile("" : : : "memory")

/* A value that the compiler knows nothing of. */
#define OPTIMIZER_HIDE_VAR(v) __asm__("" : "+r"(v))

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name) { &(name), &(name) }

static inline void INIT_LIST_HEAD(struct list_head *l) { l->next = l->prev = l; }
static inline int list_empty(const struct list_head *l) { return l->next == l; }

static inline void list_add_tail(struct list_head *n, struct list_head *head)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void list_add(struct list_head *n, struct list_head *head)
{
	list_add_tail(n, head->next);
}

static inline void list_del(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	INIT_LIST_HEAD(n);
}

typedef struct {
	int locked;
} spinlock_t;

static inline void spin_lock(spinlock_t *l)
{
	while (__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE))
		barrier();
}

static inline void spin_unlock(spinlock_t *l) { __atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE); }

/* lib.c */
void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
void print(const char *s);
void print_hex(unsigned long v);
void print_dec(unsigned long v);
void __noreturn panic(const char *why);
#define BUG_ON(wrong) do { if (wrong) panic(#wrong); } while (0)

#endif
