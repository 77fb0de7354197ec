// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Objects that are reached in one way each, to be explained, and leaks that
 * something still refers to: other leaks, or an integer. Each says what it
 * planted in the form of ../groundtruth/groundtruth.h.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/xarray.h>

struct ex_item {
	u64 key;
	void *other;
	struct list_head list;
	struct kref ref;
	char fill[92];
};

/* A number that once was an address is in it, and is no pointer by its type. */
struct ex_stale {
	struct list_head list;
	unsigned long cookie;
	int counts[6];
	const char *name;
};

static struct kmem_cache *cache;
static DECLARE_COMPLETION(settled);

/* A constructor, which keeps the cache from being merged with another. */
static void no_merge(void *object)
{
}

static noinline void say(const char *kind, const char *name, const void *p,
			 size_t size)
{
	printk(KERN_ALERT "explain: %s %s 0x%px %zu\n", kind, name, p, size);
	if (kind[1] == 'e')
		printk(KERN_ALERT "explain: task %s %s %d\n", name,
		       current->comm, current->pid);
}

#define LIVE(name, p) say("live", name, p, sizeof(*(p)))
#define LEAK(name, p) say("leak", name, p, sizeof(*(p)))

static __always_inline struct ex_item *new_item(u64 key)
{
	struct ex_item *item = kmem_cache_alloc(cache, GFP_KERNEL);

	if (item) {
		memset(item, 0, sizeof(*item));
		item->key = key;
	}
	return item;
}

static LIST_HEAD(ex_list);

static noinline void plant_live_global_list(void)
{
	struct ex_item *item;
	int i;

	for (i = 0; i < 3; i++) {
		item = new_item(i);
		list_add_tail(&item->list, &ex_list);
	}
	LIVE("global_list", item);
}

static DEFINE_PER_CPU(void *, ex_percpu);

static noinline void plant_live_percpu(void)
{
	struct ex_item *item = new_item(10);

	WRITE_ONCE(*per_cpu_ptr(&ex_percpu, 0), item);
	LIVE("percpu", item);
}

/* Never set; so that the compiler must keep what a sleeper still needs. */
static bool awake;

static noinline int ex_sleeper(void *unused)
{
	struct ex_item *volatile kept = new_item(20);

	LIVE("stack", kept);
	complete(&settled);
	while (!READ_ONCE(awake)) {
		set_current_state(TASK_IDLE);
		schedule();
	}
	barrier_data(kept);
	return 0;
}

static noinline int ex_spinner(void *unused)
{
	struct ex_item *item = new_item(30);

	LIVE("register", item);
	complete(&settled);
	asm volatile("1:	pause\n"
		     "	cmpb	$0, %1\n"
		     "	je	1b\n"
		     : "+r"(item)
		     : "m"(awake));
	barrier_data(item);
	return 0;
}

static void start(int (*fn)(void *), const char *name, int cpu)
{
	struct task_struct *task = kthread_create(fn, NULL, "%s", name);

	if (IS_ERR(task))
		return;
	if (cpu >= 0)
		kthread_bind(task, cpu);
	wake_up_process(task);
	wait_for_completion(&settled);
	reinit_completion(&settled);
}

static struct file *volatile ex_file;

static noinline void plant_live_inode(void)
{
	struct ex_item *item = new_item(40);
	struct file *file = shmem_file_setup("explain", PAGE_SIZE, 0);

	if (IS_ERR(file))
		return;
	xa_store(&file->f_mapping->i_pages, 5, item, GFP_KERNEL);
	ex_file = file;
	LIVE("inode", item);
}

static void *volatile ex_bss;

static noinline void plant_live_bss(void)
{
	struct ex_item *item = new_item(50);

	ex_bss = item;
	LIVE("bss", item);
}

static struct ex_stale *volatile ex_keeper;

/* Reachable only if any word is a pointer. */
static noinline void plant_leak_stale(void)
{
	struct ex_stale *keeper = kzalloc(sizeof(*keeper), GFP_KERNEL);
	struct ex_item *item = new_item(60);

	if (!keeper || !item)
		return;
	INIT_LIST_HEAD(&keeper->list);
	keeper->cookie = (unsigned long)item;
	keeper->name = "keeper";
	ex_keeper = keeper;
	LEAK("stale", item);
}

static noinline void plant_leak_pair(void)
{
	struct ex_item *item = new_item(70), *other = new_item(71);

	if (!item || !other)
		return;
	item->other = other;
	kref_init(&item->ref);
	kref_get(&item->ref);
	LEAK("pair", item);
	LEAK("pair.other", other);
}

/* Overwrites the dead part of the stack. */
static noinline void scrub(int depth)
{
	u8 frame[512];

	memset(frame, 0x5a, sizeof(frame));
	if (depth > 0)
		scrub(depth - 1);
	barrier_data(frame);
}

static int plant(void *done)
{
	static void (*const plants[])(void) = {
		plant_live_global_list, plant_live_percpu, plant_live_inode,
		plant_live_bss,		plant_leak_stale,  plant_leak_pair,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(plants); i++) {
		plants[i]();
		scrub(6);
	}
	complete(done);
	return 0;
}

static int __init explain_init(void)
{
	int last = cpumask_last(cpu_online_mask);
	DECLARE_COMPLETION_ONSTACK(done);

	cache = kmem_cache_create("ex_cache", sizeof(struct ex_item), 0, 0,
				  no_merge);
	if (!cache)
		return -ENOMEM;
	kthread_run(plant, &done, "explain");
	wait_for_completion(&done);
	start(ex_sleeper, "ex-stack", -1);
	if (last > 0)
		start(ex_spinner, "ex-spin", last);
	msleep(20);
	scrub(6);
	printk(KERN_ALERT "explain: planted\n");
	return 0;
}
module_init(explain_init);
/* No exit function: what it planted stays. */

MODULE_DESCRIPTION("Memory that is reached in one way each");
MODULE_LICENSE("GPL");
