// SPDX-License-Identifier: GPL-2.0-or-later
/* Tasks of the kernel that run until they call schedule(). */
#include "sched.h"

u64 jiffies_64;
char init_stack[THREAD_SIZE] __section(".data..init_stack") __aligned(THREAD_SIZE);
struct task_struct init_task = {
	.thread_info.task = &init_task,
	.stack = init_stack,
	.flags = PF_KTHREAD,
	.comm = "swapper/0",
	.tasks = LIST_HEAD_INIT(init_task.tasks),
	.thread_group = LIST_HEAD_INIT(init_task.thread_group),
	.run_list = LIST_HEAD_INIT(init_task.run_list),
};
DEFINE_PER_CPU(struct rq, runqueues);

static struct kmem_cache *task_struct_cachep;
static int last_pid;
static spinlock_t tasklist_lock;

static void init_rq(int cpu, struct task_struct *idle)
{
	struct rq *rq = per_cpu_ptr(&runqueues, cpu);

	rq->curr = rq->idle = idle;
	INIT_LIST_HEAD(&rq->waiting);
}

void sched_init(void)
{
	task_struct_cachep = kmem_cache_create("task_struct", sizeof(struct task_struct));
	init_rq(0, &init_task);
}

/* Called where a new task begins. */
noinline void __noreturn kthread(void)
{
	struct task_struct *p = this_cpu_ptr(&runqueues)->curr;

	p->threadfn(p->data);
	for (;;)
		sleep();
}

static noinline struct task_struct *copy_process(const char *comm)
{
	struct task_struct *p = kmem_cache_alloc(task_struct_cachep, GFP_KERNEL);

	BUG_ON(!p);
	memset(p, 0, sizeof(*p));
	p->stack = __vmalloc_node_range(THREAD_SIZE, THREAD_SIZE, VMALLOC_START, VMALLOC_END, GFP_KERNEL, copy_process);
	memset(p->stack, 0, THREAD_SIZE);
	p->thread_info.task = p;
	p->flags = PF_KTHREAD;
	for (int i = 0; comm[i] && i < TASK_COMM_LEN - 1; i++)
		p->comm[i] = comm[i];
	INIT_LIST_HEAD(&p->thread_group);
	INIT_LIST_HEAD(&p->run_list);
	INIT_LIST_HEAD(&p->tasks);
	return p;
}

/* A CPU's idle task is on no list, and has no number. */
noinline struct task_struct *fork_idle(int cpu)
{
	struct task_struct *p = copy_process("swapper/1");

	init_rq(cpu, p);
	return p;
}

noinline struct task_struct *kernel_clone(int (*fn)(void *data), void *data, const char *comm)
{
	struct task_struct *p = copy_process(comm);

	p->threadfn = fn;
	p->data = data;
	p->__state = TASK_UNINTERRUPTIBLE;
	spin_lock(&tasklist_lock);
	p->pid = p->tgid = ++last_pid;
	list_add_tail(&p->tasks, &init_task.tasks);
	spin_unlock(&tasklist_lock);
	arch_thread_init(&p->thread, (char *)p->stack + THREAD_SIZE, ret_from_fork);
	wake_up_process(p);
	return p;
}

noinline void schedule(void)
{
	struct rq *rq = this_cpu_ptr(&runqueues);
	struct task_struct *prev = rq->curr, *next = rq->idle;

	jiffies_64++;
	if (prev->__state == TASK_RUNNING && prev != rq->idle)
		list_add_tail(&prev->run_list, &rq->waiting);
	if (!list_empty(&rq->waiting)) {
		next = container_of(rq->waiting.next, struct task_struct, run_list);
		list_del(&next->run_list);
	}
	if (next == prev)
		return;
	rq->curr = next;
	arch_set_current(next);
	__switch_to(&prev->thread, &next->thread);
}

/* For tasks of the same CPU. */
void wake_up_process(struct task_struct *p)
{
	if (p->__state == TASK_RUNNING)
		return;
	p->__state = TASK_RUNNING;
	list_add_tail(&p->run_list, &this_cpu_ptr(&runqueues)->waiting);
}

noinline void sleep(void)
{
	this_cpu_ptr(&runqueues)->curr->__state = TASK_UNINTERRUPTIBLE;
	schedule();
	barrier();
}

noinline void yield(void)
{
	while (!list_empty(&this_cpu_ptr(&runqueues)->waiting))
		schedule();
}
