// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that is reached through the kernel's own data structures. */
#include <linux/idr.h>
#include <linux/maple_tree.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/proc_fs.h>
#include <linux/radix-tree.h>
#include <linux/rbtree.h>
#include <linux/rhashtable.h>
#include <linux/skbuff.h>
#include <linux/vmalloc.h>
#include <linux/xarray.h>

#include "groundtruth.h"

/* Its links are in the middle: no pointer is to its start. */
struct item {
	u64 key;
	char fill[40];
	struct list_head list;
	struct hlist_node hash;
	struct rb_node tree;
	struct rhash_head rhash;
	struct notifier_block notifier;
	char tail[48];
};

static struct item *new_item(u64 key)
{
	struct item *item = kzalloc(sizeof(*item), GFP_KERNEL);

	if (item)
		item->key = key;
	return item;
}

static noinline void plant_live_list(void)
{
	static LIST_HEAD(head);
	struct item *item;
	int i;

	for (i = 0; i < 3; i++) {
		item = new_item(i);
		list_add_tail(&item->list, &head);
		gt_planted_n(i, item, sizeof(*item));
	}
}

/* Long enough for a marking that recurses to run out of stack. */
static noinline void plant_live_long_list(void)
{
	static struct hlist_head head;
	struct item *item = NULL, *first = NULL;
	int i;

	for (i = 0; i < 20000; i++) {
		item = new_item(i);
		if (!item)
			break;
		if (!first)
			first = item;
		hlist_add_head(&item->hash, &head);
	}
	/* The one that was added first is the last of the list. */
	gt_planted(first, sizeof(*first));
}

static noinline void plant_live_hash(void)
{
	static struct hlist_head table[16];
	struct item *item;
	int i;

	for (i = 0; i < 3; i++) {
		item = new_item(i);
		hlist_add_head(&item->hash, &table[7]);
		gt_planted_n(i, item, sizeof(*item));
	}
}

static noinline void plant_live_rbtree(void)
{
	static struct rb_root root;
	struct rb_node **link, *parent;
	struct item *item;
	int i;

	for (i = 0; i < 7; i++) {
		item = new_item(i);
		parent = NULL;
		link = &root.rb_node;
		while (*link) {
			parent = *link;
			link = &parent->rb_right;
		}
		rb_link_node(&item->tree, parent, link);
		rb_insert_color(&item->tree, &root);
		gt_planted_n(i, item, sizeof(*item));
	}
}

static noinline void plant_live_xarray(void)
{
	static DEFINE_XARRAY(array);
	unsigned long index = 0;
	struct item *item;
	int i;

	for (i = 0; i < 4; i++) {
		item = new_item(i);
		xa_store(&array, index, item, GFP_KERNEL);
		gt_planted_n(i, item, sizeof(*item));
		index = index * 100 + 63;
	}
}

/* A single entry at index 0 is in the root itself. */
static noinline void plant_live_xarray_root(void)
{
	static DEFINE_XARRAY(array);
	struct item *item = new_item(0);

	xa_store(&array, 0, item, GFP_KERNEL);
	gt_planted(item, sizeof(*item));
}

static noinline void plant_live_radix_tree(void)
{
	static RADIX_TREE(tree, GFP_KERNEL);
	struct item *item;
	int i;

	for (i = 0; i < 3; i++) {
		item = new_item(i);
		radix_tree_insert(&tree, 5 + i * 70000, item);
		gt_planted_n(i, item, sizeof(*item));
	}
}

static noinline void plant_live_idr(void)
{
	static DEFINE_IDR(idr);
	struct item *item;
	int i;

	for (i = 0; i < 3; i++) {
		item = new_item(i);
		idr_alloc(&idr, item, 100, 0, GFP_KERNEL);
		gt_planted_n(i, item, sizeof(*item));
	}
}

/* Its nodes are 256 bytes, and their type is in a pointer's low 8 bits. */
static noinline void plant_live_maple_tree(void)
{
	static struct maple_tree tree;
	struct item *item;
	int i;

	mt_init(&tree);
	for (i = 0; i < 40; i++) {
		item = new_item(i);
		mtree_store_range(&tree, i * 100, i * 100 + 50, item,
				  GFP_KERNEL);
		if (i % 13 == 0)
			gt_planted_n(i, item, sizeof(*item));
	}
}

static const struct rhashtable_params params = {
	.head_offset = offsetof(struct item, rhash),
	.key_offset = offsetof(struct item, key),
	.key_len = sizeof(u64),
};

static noinline void plant_live_rhashtable(void)
{
	static struct rhashtable table;
	struct item *item;
	int i;

	if (rhashtable_init(&table, &params))
		return;
	for (i = 0; i < 40; i++) {
		item = new_item(i);
		rhashtable_insert_fast(&table, &item->rhash, params);
		if (i % 13 == 0)
			gt_planted_n(i, item, sizeof(*item));
	}
}

static int notified(struct notifier_block *nb, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

/* Its only reference is in .bss of the kernel proper. */
static noinline void plant_live_notifier(void)
{
	struct item *item = new_item(0);

	item->notifier.notifier_call = notified;
	if (!register_module_notifier(&item->notifier))
		gt_planted(item, sizeof(*item));
}

static const struct proc_ops ops;

static noinline void plant_live_proc_data(void)
{
	struct item *item = new_item(0);

	if (proc_create_data("groundtruth", 0400, NULL, &ops, item))
		gt_planted(item, sizeof(*item));
}

static noinline void plant_live_skb_queue(void)
{
	static struct sk_buff_head queue;
	struct sk_buff *skb;
	int i;

	skb_queue_head_init(&queue);
	for (i = 0; i < 3; i++) {
		skb = alloc_skb(i * 1500, GFP_KERNEL);
		if (!skb)
			return;
		skb_reserve(skb, i * 100);
		skb_queue_tail(&queue, skb);
		gt_planted_n(2 * i, skb, 1);
		gt_planted_n(2 * i + 1, skb->head, 1);
	}
}

/* Through memory of each kind: slab, area, per-CPU, pages, and slab again. */
static noinline void plant_live_mixed_chain(void)
{
	static void **volatile head;
	void __percpu *percpu;
	void **slab, **area, **copy, **page, *last;

	slab = kzalloc(64, GFP_KERNEL);
	area = vzalloc(2 * PAGE_SIZE);
	percpu = __alloc_percpu(20480, 64);
	page = (void **)get_zeroed_page(GFP_KERNEL);
	last = kzalloc(64, GFP_KERNEL);
	if (!slab || !area || !percpu || !page || !last)
		return;
	head = slab;
	WRITE_ONCE(slab[3], area);
	WRITE_ONCE(area[700], (__force void *)percpu);
	copy = per_cpu_ptr(percpu, gt_last_cpu()) + 19 * 1024;
	WRITE_ONCE(*copy, page);
	WRITE_ONCE(page[511], last);
	gt_planted_n(0, slab, 64);
	gt_planted_n(1, area, 2 * PAGE_SIZE);
	gt_planted_n(2, (__force void *)percpu, 20480);
	gt_planted_n(3, last, 64);
}

const struct gt_plant gt_struct_lives[] = {
	GT_PLANT(plant_live_list),
	GT_PLANT(plant_live_long_list),
	GT_PLANT(plant_live_hash),
	GT_PLANT(plant_live_rbtree),
	GT_PLANT(plant_live_xarray),
	GT_PLANT(plant_live_xarray_root),
	GT_PLANT(plant_live_radix_tree),
	GT_PLANT(plant_live_idr),
	GT_PLANT(plant_live_maple_tree),
	GT_PLANT(plant_live_rhashtable),
	GT_PLANT(plant_live_notifier),
	GT_PLANT(plant_live_proc_data),
	GT_PLANT(plant_live_skb_queue),
	GT_PLANT(plant_live_mixed_chain),
	{}
};
