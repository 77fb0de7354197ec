// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's own data structures, with memory of many kinds behind them.
 * Nothing of that is planted by name: no report at all may come of it.
 */
#include <crypto/hash.h>
#include <linux/bio.h>
#include <linux/cpuhotplug.h>
#include <linux/debugfs.h>
#include <linux/ftrace.h>
#include <linux/genalloc.h>
#include <linux/idr.h>
#include <linux/interrupt.h>
#include <linux/kfifo.h>
#include <linux/kprobes.h>
#include <linux/list_lru.h>
#include <linux/miscdevice.h>
#include <linux/net.h>
#include <linux/percpu-refcount.h>
#include <linux/percpu_counter.h>
#include <linux/pid.h>
#include <linux/srcu.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "variety.h"

static struct srcu_struct srcu;
static struct percpu_ref ref;
static struct percpu_counter counter;
static struct list_lru lru;
static struct bio_set bios;
static DEFINE_IDA(ida);
static struct kfifo fifo;
static struct workqueue_struct *volatile queue, *volatile unbound;
static struct gen_pool *volatile pool;
static struct crypto_shash *volatile hash;
static struct socket *udp, *unix_socket;
static struct bio *volatile bio;
static struct dentry *volatile directory;
static struct pid *volatile pid;

static void released(struct percpu_ref *unused)
{
}

static void use_memory(void)
{
	void *chunk = vmalloc(16 * PAGE_SIZE);
	int i;

	for (i = 0; i < 3000; i++)
		ida_alloc(&ida, GFP_KERNEL);
	pool = gen_pool_create(6, NUMA_NO_NODE);
	if (pool && chunk &&
	    !gen_pool_add(pool, (unsigned long)chunk, 16 * PAGE_SIZE, -1))
		gen_pool_alloc(pool, 5 * PAGE_SIZE);
	if (kfifo_alloc(&fifo, 10000, GFP_KERNEL))
		pr_warn("variety: no kfifo\n");
	if (list_lru_init(&lru))
		pr_warn("variety: no list_lru\n");
	if (percpu_counter_init(&counter, 5, GFP_KERNEL))
		pr_warn("variety: no percpu_counter\n");
	if (percpu_ref_init(&ref, released, 0, GFP_KERNEL))
		pr_warn("variety: no percpu_ref\n");
	if (init_srcu_struct(&srcu))
		pr_warn("variety: no srcu\n");
	if (!bioset_init(&bios, 4, 64, BIOSET_NEED_BVECS))
		bio = bio_alloc_bioset(NULL, 200, 0, GFP_KERNEL, &bios);
	pid = get_task_pid(current, PIDTYPE_PID);
}

static int opened(struct inode *inode, struct file *file)
{
	return -ENODEV;
}

static const struct file_operations operations = { .open = opened };
static struct miscdevice misc = {
	.minor = MISC_DYNAMIC_MINOR, .name = "variety", .fops = &operations,
};

static void use_interfaces(void)
{
	char name[16];
	int i;

	queue = alloc_workqueue("variety", WQ_MEM_RECLAIM, 0);
	unbound = alloc_workqueue("variety_u", WQ_UNBOUND | WQ_SYSFS, 3);
	hash = crypto_alloc_shash("hmac(sha256)", 0, 0);
	if (sock_create_kern(&init_net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &udp))
		udp = NULL;
	if (sock_create_kern(&init_net, AF_UNIX, SOCK_STREAM, 0, &unix_socket))
		unix_socket = NULL;
	if (misc_register(&misc))
		pr_warn("variety: no device\n");
	directory = debugfs_create_dir("variety", NULL);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		debugfs_create_file(name, 0400, directory, NULL, &operations);
	}
}

static int online(unsigned int cpu)
{
	return 0;
}

/*
 * Patches the very functions that allocate, while they are in use. What a
 * return probe puts in the place of return addresses comes last: it takes the
 * callers from backtraces.
 */
static unsigned long traced;

static void notrace on_trace(unsigned long ip, unsigned long parent,
			     struct ftrace_ops *ops, struct ftrace_regs *regs)
{
	traced++;
}

static struct ftrace_ops tracer = {
	.func = on_trace, .flags = FTRACE_OPS_FL_RECURSION,
};

static int before(struct kprobe *probe, struct pt_regs *regs)
{
	return 0;
}

static int after(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	return 0;
}

static struct kprobe probe = { .symbol_name = "kfree", .pre_handler = before };
static struct kretprobe slab_probe = {
	.kp.symbol_name = "kmem_cache_alloc", .handler = after, .maxactive = 64,
}, size_probe = {
	.kp.symbol_name = "__kmalloc", .handler = after, .maxactive = 64,
};

static void use_tracing(void)
{
	static unsigned char functions[] = "*kmalloc*";
	void *large;
	size_t size;

	cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "variety", online, NULL);
	if (!ftrace_set_filter(&tracer, functions, strlen(functions), 1) &&
	    register_ftrace_function(&tracer))
		pr_warn("variety: no tracing\n");
	/* The names are others in some kernels: then there is no probe. */
	register_kprobe(&probe);
	register_kretprobe(&slab_probe);
	register_kretprobe(&size_probe);
	/* By tail calls and through all that was just patched. */
	for (size = 8; size <= 1 << 18; size *= 2) {
		OPTIMIZER_HIDE_VAR(size);
		large = kmalloc(size, GFP_KERNEL);
		kfree(large);
	}
}

void use_subsystems(void)
{
	use_memory();
	use_interfaces();
	use_tracing();
}
