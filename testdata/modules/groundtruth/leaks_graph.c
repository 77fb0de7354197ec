// SPDX-License-Identifier: GPL-2.0-or-later
/* Leaks that something still points to, but nothing that counts. */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/irq_work.h>

#include "groundtruth.h"

struct gt_node {
	struct gt_node *next;
	struct list_head list;
	char fill[GT_SIZE - sizeof(struct list_head) - sizeof(void *)];
};

static __always_inline struct gt_node *new_node(void)
{
	struct gt_node *node = gt_alloc(GFP_KERNEL);

	if (node)
		memset(node, 0, sizeof(*node));
	return node;
}

/* Each node's allocation is in the plant itself, loop or not. */
static __always_inline struct gt_node *ring(int n)
{
	struct gt_node *first = NULL, *last = NULL, *node;
	int i;

	for (i = 0; i < n; i++) {
		node = new_node();
		node->next = first;
		if (last)
			last->next = node;
		else
			first = node;
		node->next = first;
		last = node;
	}
	return first;
}

static noinline void plant_leak_self(void)
{
	struct gt_node *node = ring(1);

	gt_planted(node, sizeof(*node));
}

static noinline void plant_leak_cycle2(void)
{
	struct gt_node *node = ring(2);

	gt_planted_n(0, node, sizeof(*node));
	gt_planted_n(1, node->next, sizeof(*node));
}

static noinline void plant_leak_cycle10(void)
{
	struct gt_node *node = ring(10);
	int i;

	for (i = 0; i < 10; i++, node = node->next)
		gt_planted_n(i, node, sizeof(*node));
}

/* The head was dropped. */
static noinline void plant_leak_chain(void)
{
	struct gt_node *node = ring(3);

	gt_planted_n(0, node, sizeof(*node));
	gt_planted_n(1, node->next, sizeof(*node));
	gt_planted_n(2, node->next->next, sizeof(*node));
	node->next->next->next = NULL;
}

/* A list whose head was memory that is freed: the nodes hold each other. */
static noinline void plant_leak_list(void)
{
	struct list_head *head = kmalloc(sizeof(*head), GFP_KERNEL);
	struct gt_node *node;
	int i;

	INIT_LIST_HEAD(head);
	for (i = 0; i < 3; i++) {
		node = new_node();
		list_add_tail(&node->list, head);
		gt_planted_n(i, node, sizeof(*node));
	}
	__list_del_entry(head);
	kfree(head);
}

/* It points to what is alive, but nothing points to it. */
static LIST_HEAD(live_list);

static noinline void plant_leak_unlinked(void)
{
	struct gt_node *node = new_node();

	list_add(&node->list, &live_list);
	__list_del_entry(&node->list);
	gt_planted(node, sizeof(*node));
}

/* In caches of their own: nobody's objects are their neighbours. */
static void *past_end;

static noinline void plant_leak_past_end(void)
{
	struct kmem_cache *cache;
	char *p;

	cache = kmem_cache_create("gt_past_end", 64, 0, 0, gt_no_merge);
	p = kmem_cache_alloc(cache, GFP_KERNEL);
	gt_planted(p, 64);
	WRITE_ONCE(past_end, p + 64);
}

static void *before_start;

static noinline void plant_leak_before_start(void)
{
	struct kmem_cache *cache;
	char *p;

	cache = kmem_cache_create("gt_before_start", 256, 0, 0, gt_no_merge);
	p = kmem_cache_alloc(cache, GFP_KERNEL);
	gt_planted(p, 256);
	WRITE_ONCE(before_start, p - 8);
}

/* A complement is no pointer. */
static unsigned long complement;

static noinline void plant_leak_complement(void)
{
	void *p = gt_alloc(GFP_KERNEL);

	gt_planted(p, GT_SIZE);
	WRITE_ONCE(complement, ~(unsigned long)p);
}

static noinline void plant_leak_in_freed_object(void)
{
	struct kmem_cache *cache;
	void **holder[4];
	void *p;
	int i;

	cache = kmem_cache_create("gt_freed_holder", 128, 0, 0, gt_no_merge);
	for (i = 0; i < 4; i++)
		holder[i] = kmem_cache_alloc(cache, GFP_KERNEL);
	p = gt_alloc(GFP_KERNEL);
	gt_planted(p, GT_SIZE);
	for (i = 0; i < 16; i++)
		WRITE_ONCE(holder[2][i], p);
	kmem_cache_free(cache, holder[2]);
	memset(holder, 0, sizeof(holder));
	barrier_data(holder);
}

static noinline void plant_leak_in_freed_page(void)
{
	void **page = (void **)__get_free_pages(GFP_KERNEL, 2);
	void *p = gt_alloc(GFP_KERNEL);

	gt_planted(p, GT_SIZE);
	WRITE_ONCE(page[1], p);
	WRITE_ONCE(page[3 * PAGE_SIZE / sizeof(p)], p);
	free_pages((unsigned long)page, 2);
}

#ifndef CONFIG_PPC64 /* which keeps it: arch/powerpc/kernel/module_64.c */
/* Memory of the module that is given back when it has been loaded. */
static void *in_init_data __initdata;

static noinline void __ref plant_leak_in_init_data(void)
{
	void *p = gt_alloc(GFP_KERNEL);

	gt_planted(p, GT_SIZE);
	WRITE_ONCE(in_init_data, p);
}
#endif

/* A file's content is not the kernel's memory, whatever it looks like. */
static noinline void plant_leak_in_file(void)
{
	struct file *file;
	loff_t pos = 0;
	void *p;

	file = filp_open("/groundtruth.bin", O_CREAT | O_RDWR, 0600);
	if (IS_ERR(file))
		return;
	p = gt_alloc(GFP_KERNEL);
	gt_planted(p, GT_SIZE);
	kernel_write(file, &p, sizeof(p), &pos);
	WRITE_ONCE(p, NULL);
	filp_close(file, NULL);
}

/* Only a word of a dead frame, deep in the stack of a thread that sleeps. */
static noinline void plant_leak_below_stack(void)
{
	void *volatile slot[4];

	slot[0] = slot[1] = slot[2] = slot[3] = gt_alloc(GFP_KERNEL);
	gt_planted(slot[0], GT_SIZE);
	barrier_data((void *)slot);
}

static noinline void deeper(void)
{
	gt_deep(plant_leak_below_stack);
}

static noinline void deepest(void)
{
	gt_deep(deeper);
}

static int stale_sleeper(void *unused)
{
	gt_deep(deepest);
	gt_settled();
	gt_sleep();
	return 0;
}

static void sleep_above(void)
{
	gt_thread(stale_sleeper, NULL, -1, "gt-stale");
}

/* Only on the stack of a thread that is no more. */
static noinline int plant_leak_dead_stack(void *unused)
{
	void *volatile slot = gt_alloc(GFP_KERNEL);

	gt_planted(slot, GT_SIZE);
	gt_settled();
	return 0;
}

static void exited(void)
{
	gt_thread(plant_leak_dead_stack, NULL, -1, "gt-exited");
}

/* Only on a CPU's interrupt stack, when no interrupt is being served. */
static noinline void plant_leak_dead_irq_stack(void)
{
	void *volatile slot[4];

	slot[0] = slot[1] = slot[2] = slot[3] = gt_alloc(GFP_ATOMIC);
	gt_planted(slot[0], GT_SIZE);
	barrier_data((void *)slot);
}

static noinline void irq_deeper(void)
{
	gt_deep(plant_leak_dead_irq_stack);
}

static noinline void irq_deepest(void)
{
	gt_deep(irq_deeper);
}

static void from_irq(struct irq_work *work)
{
	gt_deep(irq_deepest);
}

static void interrupt_below(void)
{
	static struct irq_work work;

	init_irq_work(&work, from_irq);
	irq_work_queue(&work);
	irq_work_sync(&work);
}

const struct gt_plant gt_graph_leaks[] = {
	GT_PLANT(plant_leak_self),
	GT_PLANT(plant_leak_cycle2),
	GT_PLANT(plant_leak_cycle10),
	GT_PLANT(plant_leak_chain),
	GT_PLANT(plant_leak_list),
	GT_PLANT(plant_leak_unlinked),
	GT_PLANT(plant_leak_past_end),
	GT_PLANT(plant_leak_before_start),
	GT_PLANT(plant_leak_complement),
	GT_PLANT(plant_leak_in_freed_object),
	GT_PLANT(plant_leak_in_freed_page),
#ifndef CONFIG_PPC64
	GT_PLANT(plant_leak_in_init_data),
#endif
	GT_PLANT(plant_leak_in_file),
	GT_PLANT(sleep_above),
	GT_PLANT(exited),
	GT_PLANT(interrupt_below),
	{}
};
