// SPDX-License-Identifier: GPL-2.0-or-later
/* What must be reported. */
#include "leaklab.h"

static void *forget; /* what is overwritten */

/* One object from each allocator. */
static noinline void plant_leak_kmalloc(void)
{
	void *p = kmalloc(SIZE, GFP_KERNEL);

	memset(p, FILL, SIZE);
	planted(p, SIZE);
}

static noinline void plant_leak_cache(void)
{
	planted(plant_alloc(), SIZE);
}

static noinline void plant_leak_large(void)
{
	void *p = kmalloc(4 * PAGE_SIZE, GFP_KERNEL);

	memset(p, FILL, 4 * PAGE_SIZE);
	planted(p, 4 * PAGE_SIZE);
}

static noinline void plant_leak_vmalloc(void)
{
	void *p = vmalloc(3 * PAGE_SIZE);

	memset(p, FILL, 3 * PAGE_SIZE);
	planted(p, 3 * PAGE_SIZE);
}

static noinline void plant_leak_percpu(void)
{
	planted(__alloc_percpu(64, 8), 64);
}

/* Whole pages are reported only where they are tracked. */
static noinline void plant_leak_pages(void)
{
	struct page *page = __alloc_pages(GFP_KERNEL, 1, 0, NULL);
	void *p = page_address(page);

	page = NULL;
	memset(p, FILL, 2 * PAGE_SIZE);
	planted(p, 2 * PAGE_SIZE);
}

static noinline void plant_leak_bulk(void)
{
	void *p[3];
	int n = kmem_cache_alloc_bulk(plant_cache, GFP_KERNEL, ARRAY_SIZE(p), p);

	for (int i = 0; i < n; i++) {
		memset(p[i], FILL, SIZE);
		planted_n(i, p[i], SIZE);
	}
	memset(p, 0, sizeof(p));
	barrier();
}

static noinline void plant_leak_krealloc(void)
{
	void *p = krealloc(kmalloc(64, GFP_KERNEL), SIZE, GFP_KERNEL);

	memset(p, FILL, SIZE);
	planted(p, SIZE);
}

/* The backtrace has the callers in their order. */
static noinline void *nested3(void)
{
	void *p = plant_alloc();

	barrier();
	return p;
}

static noinline void *nested2(void)
{
	void *p = nested3();

	barrier();
	return p;
}

static noinline void *nested1(void)
{
	void *p = nested2();

	barrier();
	return p;
}

static noinline void plant_leak_nested(void)
{
	planted(nested1(), SIZE);
}

/* Each holds the next; nobody holds the first. */
static noinline void plant_leak_chain(void)
{
	struct node *last = NULL;

	for (int i = 0; i < 3; i++) {
		struct node *o = plant_alloc();

		o->next = last;
		planted_n(i, o, SIZE);
		last = o;
	}
}

/* They hold each other. */
static noinline void plant_leak_cycle(void)
{
	struct node *a = plant_alloc(), *b = plant_alloc();

	INIT_LIST_HEAD(&a->link);
	list_add(&b->link, &a->link);
	a->next = b;
	b->next = a;
	planted_n(0, a, SIZE);
	planted_n(1, b, SIZE);
}

/* A list whose head is in an object that nobody holds. */
static noinline void plant_leak_list(void)
{
	struct node *head = plant_alloc();

	INIT_LIST_HEAD(&head->link);
	planted_n(0, head, SIZE);
	for (int i = 1; i < 4; i++) {
		struct node *o = plant_alloc();

		list_add_tail(&o->link, &head->link);
		planted_n(i, o, SIZE);
	}
}

/* The last pointer is overwritten. */
static noinline void plant_leak_overwritten(void)
{
	for (int i = 0; i < 2; i++) {
		forget = plant_alloc();
		planted_n(i, forget, SIZE);
	}
	forget = NULL;
	barrier();
}

/* Taken out of a list, and then forgotten. */
static struct list_head shrinking = LIST_HEAD_INIT(shrinking);
static noinline void plant_leak_unlinked(void)
{
	struct node *o = plant_alloc();

	list_add(&o->link, &shrinking);
	barrier();
	list_del(&o->link);
	planted(o, SIZE);
}

/* What holds it was freed. */
static noinline void plant_leak_holder_freed(void)
{
	struct node *holder = plant_alloc(), *o = plant_alloc();

	holder->next = o;
	planted(o, SIZE);
	kmem_cache_free(plant_cache, holder);
}

/* The only pointers are right before it and right behind it, in its own page. */
unsigned long beside[2];
static noinline void plant_leak_beside(void)
{
	char *p = kmalloc(PAGE_SIZE / 2 + 1, GFP_KERNEL);

	memset(p, FILL, PAGE_SIZE);
	beside[0] = (unsigned long)p - 1;
	beside[1] = (unsigned long)p + PAGE_SIZE;
	planted(p, PAGE_SIZE);
}

/* The only pointer is not at the address of a word. */
char packed[4 * sizeof(long)];
static noinline void plant_leak_packed(void)
{
	void *p = plant_alloc();

	memcpy(packed + sizeof(long) + 1, &p, sizeof(p));
	planted(p, SIZE);
}

/* The only pointer is encoded. */
unsigned long encoded;
static noinline void plant_leak_encoded(void)
{
	void *p = plant_alloc();

	encoded = ~(unsigned long)p;
	planted(p, SIZE);
}

/* Memory of other allocators holds it, and leaks as well. */
static noinline void plant_leak_in_vmalloc(void)
{
	void **v = vmalloc(PAGE_SIZE);

	memset(v, FILL, PAGE_SIZE);
	v[7] = plant_alloc();
	planted_n(0, v, PAGE_SIZE);
	planted_n(1, v[7], SIZE);
}

static noinline void plant_leak_in_percpu(void)
{
	void **v = __alloc_percpu(64, 8);

	*per_cpu_ptr(v + 1, 1) = plant_alloc();
	planted_n(0, v, 64);
	planted_n(1, *per_cpu_ptr(v + 1, 1), SIZE);
}

/* By another task, which ends in sleep; the pointer is below its stack. */
static noinline void plant_leak_task(void)
{
	planted(nested2(), SIZE);
}

static int leaking_task(__always_unused void *data)
{
	plant_leak_task();
	scrub();
	sleep();
	return 0;
}

static noinline void start_leaking_task(void)
{
	as_task("leaker", leaking_task, NULL);
}

/* The task that held it on its stack has returned from there. */
static noinline void plant_leak_stack(void)
{
	void *held[8];

	for (unsigned int i = 0; i < ARRAY_SIZE(held); i++)
		held[i] = NULL;
	held[5] = plant_alloc();
	planted(held[5], SIZE);
	__asm__ volatile("" : : "r"(held) : "memory");
}

static int forgetful_task(__always_unused void *data)
{
	plant_leak_stack();
	scrub();
	sleep();
	return 0;
}

static noinline void start_forgetful_task(void)
{
	as_task("forgetful", forgetful_task, NULL);
}

/* RCU freed the object that held it. */
static void free_node(struct rcu_head *head)
{
	kmem_cache_free(plant_cache, container_of(head, struct node, rcu));
}

static noinline void plant_leak_rcu_holder(void)
{
	struct node *holder = plant_alloc(), *o = plant_alloc();

	holder->next = o;
	planted(o, SIZE);
	call_rcu(&holder->rcu, free_node);
}

const struct plant leaks[] = {
	PLANT(plant_leak_kmalloc),
	PLANT(plant_leak_cache),
	PLANT(plant_leak_large),
	PLANT(plant_leak_vmalloc),
	PLANT(plant_leak_percpu),
	PLANT(plant_leak_pages),
	PLANT(plant_leak_bulk),
	PLANT(plant_leak_krealloc),
	PLANT(plant_leak_nested),
	PLANT(plant_leak_chain),
	PLANT(plant_leak_cycle),
	PLANT(plant_leak_list),
	PLANT(plant_leak_overwritten),
	PLANT(plant_leak_unlinked),
	PLANT(plant_leak_holder_freed),
	PLANT(plant_leak_beside),
	PLANT(plant_leak_packed),
	PLANT(plant_leak_encoded),
	PLANT(plant_leak_in_vmalloc),
	PLANT(plant_leak_in_percpu),
	PLANT(start_leaking_task),
	PLANT(start_forgetful_task),
	PLANT(plant_leak_rcu_holder),
	{ NULL, NULL },
};
