// SPDX-License-Identifier: GPL-2.0-or-later
/* What must not be reported, however it is held. */
#include "leaklab.h"

/* Zero at first: in .bss. */
void *in_bss;
static noinline void plant_live_bss(void)
{
	in_bss = plant_alloc();
	planted(in_bss, SIZE);
}

/* Not zero at first: in .data. */
void *in_data = &in_data;
static noinline void plant_live_data(void)
{
	in_data = plant_alloc();
	planted(in_data, SIZE);
}

/* Only an address inside it is kept: first, middle and last byte. */
char *interior[3];
static noinline void plant_live_interior(void)
{
	static const int at[] = { 1, SIZE / 2, SIZE - 1 };

	for (int i = 0; i < 3; i++) {
		char *p = plant_alloc();

		interior[i] = p + at[i];
		planted_n(i, p, SIZE);
	}
}

/* A list goes through the objects' middle. */
static struct list_head nodes = LIST_HEAD_INIT(nodes);
static noinline void plant_live_list(void)
{
	for (int i = 0; i < 4; i++) {
		struct node *o = plant_alloc();

		list_add_tail(&o->link, &nodes);
		planted_n(i, o, SIZE);
	}
}

struct node *first;
static noinline void plant_live_chain(void)
{
	for (int i = 0; i < 5; i++) {
		struct node *o = plant_alloc();

		o->next = first;
		first = o;
		planted_n(i, o, SIZE);
	}
}

/* Static per-CPU data, of a CPU that never ran too. */
static DEFINE_PER_CPU(void *, in_percpu);
static noinline void plant_live_percpu_static(void)
{
	for (int cpu = 0; cpu < NR_CPUS; cpu++) {
		void **at = per_cpu_ptr(&in_percpu, cpu);

		*at = plant_alloc();
		planted_n(cpu, *at, SIZE);
	}
}

/* Dynamic per-CPU data, held by its per-CPU pointer. */
void **percpu;
static noinline void plant_live_percpu(void)
{
	percpu = __alloc_percpu(32, sizeof(void *));
	planted_n(0, percpu, 32);
	*per_cpu_ptr(percpu + 2, 1) = plant_alloc();
	planted_n(1, *per_cpu_ptr(percpu + 2, 1), SIZE);
}

/* The last word of memory that is not contiguous, held from inside. */
char *area;
static noinline void plant_live_vmalloc(void)
{
	void **v = vmalloc(3 * PAGE_SIZE);

	memset(v, FILL, 3 * PAGE_SIZE);
	v[3 * PAGE_SIZE / sizeof(*v) - 1] = plant_alloc();
	area = (char *)v + PAGE_SIZE + 5;
	planted_n(0, v, 3 * PAGE_SIZE);
	planted_n(1, v[3 * PAGE_SIZE / sizeof(*v) - 1], SIZE);
}

void *large;
static noinline void plant_live_large(void)
{
	void **v = kmalloc(4 * PAGE_SIZE, GFP_KERNEL);

	memset(v, FILL, 4 * PAGE_SIZE);
	v[2 * PAGE_SIZE / sizeof(*v)] = plant_alloc();
	large = v;
	planted_n(0, v, 4 * PAGE_SIZE);
	planted_n(1, v[2 * PAGE_SIZE / sizeof(*v)], SIZE);
}

/* Pages that are only known by their descriptor, and what is in them. */
struct page *some_pages;
static noinline void plant_live_pages(void)
{
	void **v;

	some_pages = __alloc_pages(GFP_KERNEL, 1, 0, NULL);
	v = page_address(some_pages);
	memset(v, FILL, 2 * PAGE_SIZE);
	v[PAGE_SIZE / sizeof(*v) + 3] = plant_alloc();
	planted_n(0, v, 2 * PAGE_SIZE);
	planted_n(1, v[PAGE_SIZE / sizeof(*v) + 3], SIZE);
}

/* Only a page's descriptor holds it. */
struct page *described;
static noinline void plant_live_page_private(void)
{
	described = __alloc_pages(GFP_KERNEL, 0, 0, NULL);
	memset(page_address(described), FILL, PAGE_SIZE);
	described->private = (unsigned long)plant_alloc();
	planted((void *)described->private, SIZE);
}

/* On the stack of a task that sleeps, in its own frame or a caller's. */
static noinline void plant_live_stack(void)
{
	void *held[8];

	for (unsigned int i = 0; i < ARRAY_SIZE(held); i++)
		held[i] = NULL;
	held[3] = plant_alloc();
	planted(held[3], SIZE);
	__asm__ volatile("" : : "r"(held) : "memory");
	sleep();
	__asm__ volatile("" : : "r"(held) : "memory");
}

static int holding_task(__always_unused void *data)
{
	plant_live_stack();
	return 0;
}

static noinline void start_holding_task(void) { as_task("holder", holding_task, NULL); }

/* In a register that functions preserve: it ends on the stack of the switch. */
static noinline void plant_live_register(void)
{
	void *p = plant_alloc();

	planted(p, SIZE);
	sleep();
	memset(p, 0, SIZE); /* never */
}

static int register_task(__always_unused void *data)
{
	plant_live_register();
	return 0;
}

static noinline void start_register_task(void) { as_task("registers", register_task, NULL); }

/* The argument of a task that never ran: its descriptor holds it. */
static int argument_task(void *data)
{
	sleep();
	memset(data, 0, SIZE);
	return 0;
}

static noinline void plant_live_argument(void)
{
	void *p = plant_alloc();

	planted(p, SIZE);
	as_task("argument", argument_task, p);
}

/* It waits for RCU, in a list through its middle. */
static void free_node(struct rcu_head *head)
{
	kmem_cache_free(plant_cache, container_of(head, struct node, rcu));
}

static noinline void plant_live_rcu_pending(void)
{
	for (int i = 0; i < 3; i++) {
		struct node *o = plant_alloc();

		planted_n(i, o, SIZE);
		call_rcu(&o->rcu, free_node);
	}
}

/* In an object of a cache made for it. */
struct kmem_cache *own_cache;
void *own_object;
static noinline void plant_live_cache(void)
{
	void **o;

	own_cache = kmem_cache_create("leaklab_own", 96);
	o = kmem_cache_alloc(own_cache, GFP_KERNEL);
	memset(o, FILL, 96);
	o[3] = plant_alloc();
	own_object = o;
	planted_n(0, o, 96);
	planted_n(1, o[3], SIZE);
}

const struct plant lives[] = {
	PLANT(plant_live_bss),
	PLANT(plant_live_data),
	PLANT(plant_live_interior),
	PLANT(plant_live_list),
	PLANT(plant_live_chain),
	PLANT(plant_live_percpu_static),
	PLANT(plant_live_percpu),
	PLANT(plant_live_vmalloc),
	PLANT(plant_live_large),
	PLANT(plant_live_pages),
	PLANT(plant_live_page_private),
	PLANT(start_holding_task),
	PLANT(start_register_task),
	PLANT(plant_live_argument),
	PLANT(plant_live_rcu_pending),
	PLANT(plant_live_cache),
	{ NULL, NULL },
};
