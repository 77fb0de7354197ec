// SPDX-License-Identifier: GPL-2.0-or-later
/* Tasks of the kernel that run until they call schedule(). */
#include "sched.h"

u64 jiffies_64;
char init_stack[THREAD_SIZE] __section(".data..init_stack") __aligned(THREAD_SIZE);
struct task_struct init_task = {
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

void sched_init(void)
{
	struct rq *rq = this_cpu_ptr(&runqueues);

	task_struct_cachep = kmem_cache_create("task_struct", sizeof(struct task_struct));
	rq->curr = rq->idle = &init_task;
	INIT_LIST_HEAD(&rq->waiting);
}

/* Called where a new task begins. */
noinline void __noreturn kthread(void)
{
	struct task_struct *p = this_cpu_ptr(&runqueues)->curr;

	p->threadfn(p->data);
	for (;;)
		sleep();
}

noinline struct task_struct *kernel_clone(int (*fn)(void *data), void *data, const char *comm)
{
	struct task_struct *p = kmem_cache_alloc(task_struct_cachep, GFP_KERNEL);

	BUG_ON(!p);
	memset(p, 0, sizeof(*p));
	p->stack = vmalloc(THREAD_SIZE);
	memset(p->stack, 0, THREAD_SIZE);
	p->flags = PF_KTHREAD;
	p->pid = p->tgid = ++last_pid;
	for (int i = 0; comm[i] && i < TASK_COMM_LEN - 1; i++)
		p->comm[i] = comm[i];
	p->threadfn = fn;
	p->data = data;
	p->__state = TASK_UNINTERRUPTIBLE;
	INIT_LIST_HEAD(&p->thread_group);
	INIT_LIST_HEAD(&p->run_list);
	list_add_tail(&p->tasks, &init_task.tasks);
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
