// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A leak as they are in real drivers: an error path that forgets a part of what
 * was made. Two of five requests are refused, and each leaves a request, its
 * name and its buffer behind.
 */
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

struct leaky_request {
	struct list_head list;
	char *name;
	void *buffer;
	size_t size;
};

static LIST_HEAD(leaky_queue);

static noinline struct leaky_request *leaky_request_new(const char *name,
							size_t size)
{
	struct leaky_request *request = kzalloc(sizeof(*request), GFP_KERNEL);

	if (!request)
		return NULL;
	request->name = kstrdup(name, GFP_KERNEL);
	request->buffer = vmalloc(size);
	request->size = size;
	return request;
}

static noinline int leaky_submit(const char *name, size_t size)
{
	struct leaky_request *request = leaky_request_new(name, size);

	if (!request)
		return -ENOMEM;
	if (size > 4 * PAGE_SIZE)
		return -E2BIG;
	list_add_tail(&request->list, &leaky_queue);
	return 0;
}

static int __init leaky_init(void)
{
	static const size_t pages[] = { 1, 8, 4, 2, 16 };
	int i, refused = 0;

	for (i = 0; i < ARRAY_SIZE(pages); i++)
		if (leaky_submit("a request", pages[i] * PAGE_SIZE))
			refused++;
	pr_info("leaky: %d requests refused\n", refused);
	return 0;
}

static void __exit leaky_exit(void)
{
	struct leaky_request *request, *next;

	list_for_each_entry_safe(request, next, &leaky_queue, list) {
		kfree(request->name);
		vfree(request->buffer);
		kfree(request);
	}
}

module_init(leaky_init);
module_exit(leaky_exit);
MODULE_DESCRIPTION("Forgets what it refuses");
MODULE_LICENSE("GPL");
