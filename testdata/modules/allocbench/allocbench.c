// SPDX-License-Identifier: GPL-2.0-or-later
/* Times calls of kmalloc and kfree, which cost more when they are hooked. */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/slab.h>

static unsigned int pairs = 2000;
module_param(pairs, uint, 0);

/* Not a constant, so that the general function is called. */
static size_t size = 64;
module_param(size, ulong, 0);

static int __init allocbench_init(void)
{
	ktime_t start;
	unsigned int i;

	for (i = 0; i < 100; i++)
		kfree(kmalloc(size, GFP_KERNEL));
	start = ktime_get();
	for (i = 0; i < pairs; i++)
		kfree(kmalloc(size, GFP_KERNEL));
	pr_info("allocbench: %u calls, %lld ns\n", 2 * pairs,
		ktime_to_ns(ktime_sub(ktime_get(), start)));
	return 0;
}

static void __exit allocbench_exit(void)
{
}

module_init(allocbench_init);
module_exit(allocbench_exit);
MODULE_DESCRIPTION("Times the slab allocator");
MODULE_LICENSE("GPL");
