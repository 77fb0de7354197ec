// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keeps its memory while it is loaded, and forgets to free it when it goes.
 * Once it is removed, all that it planted must be reported, and the backtraces
 * must still name its functions. The lines are those of groundtruth.h.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

struct kept {
	struct kept *next;
	char fill[504];
};

/*
 * Stays when the module goes. What comes from a cache of its own was nobody's
 * before: see gt_alloc in groundtruth.h.
 */
static struct kmem_cache *cache;

/* A constructor, which keeps a cache from being merged with another. */
static void no_merge(void *object)
{
}

static void *fresh(void)
{
	return memset(kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOFAIL), 0,
		      sizeof(struct kept));
}

static void *volatile in_data = (void *)1;
static void *volatile in_bss;
static void *volatile area;
static void __percpu *volatile percpu;
static struct kept *volatile chain;

static noinline void say(const char *func, const void *p, size_t size)
{
	const char *name = func + strlen("plant_leak_");

	printk(KERN_ALERT "rmmodleak: leak %s 0x%px %zu\n", name, p, size);
	printk(KERN_ALERT "rmmodleak: task %s %s %d\n", name, current->comm,
	       current->pid);
}

static noinline void plant_leak_rmmod_data(void)
{
	in_data = fresh();
	say(__func__, in_data, sizeof(struct kept));
}

static noinline void plant_leak_rmmod_bss(void)
{
	in_bss = fresh();
	say(__func__, in_bss, sizeof(struct kept));
}

static noinline void plant_leak_rmmod_area(void)
{
	area = vmalloc(2 * PAGE_SIZE);
	say(__func__, area, 2 * PAGE_SIZE);
}

static noinline void plant_leak_rmmod_percpu(void)
{
	percpu = __alloc_percpu(20480, 64);
	say(__func__, (__force void *)percpu, 20480);
}

static noinline void plant_leak_rmmod_head(void)
{
	chain = fresh();
	say(__func__, chain, sizeof(*chain));
}

/* Kept by the head, and so an orphan's orphan. */
static noinline void plant_leak_rmmod_next(void)
{
	chain->next = fresh();
	say(__func__, chain->next, sizeof(*chain));
}

static noinline void scrub(int depth)
{
	u8 frame[512];

	memset(frame, 0x5a, sizeof(frame));
	if (depth > 0)
		scrub(depth - 1);
	OPTIMIZER_HIDE_VAR(depth);
	barrier_data(frame);
}

static int __init rmmodleak_init(void)
{
	cache = kmem_cache_create("rmmodleak", sizeof(struct kept), 0, 0,
				  no_merge);
	if (!cache)
		return -ENOMEM;
	plant_leak_rmmod_data();
	plant_leak_rmmod_bss();
	plant_leak_rmmod_area();
	plant_leak_rmmod_percpu();
	plant_leak_rmmod_head();
	plant_leak_rmmod_next();
	scrub(8);
	printk(KERN_ALERT "rmmodleak: planted\n");
	return 0;
}

static void __exit rmmodleak_exit(void)
{
}

module_init(rmmodleak_init);
module_exit(rmmodleak_exit);
MODULE_DESCRIPTION("Leaks what it holds when it is removed");
MODULE_LICENSE("GPL");
