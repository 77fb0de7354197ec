/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SCHED_H
#define SCHED_H

#include "mm.h"

#define TASK_COMM_LEN 16
#define TASK_RUNNING 0
#define TASK_UNINTERRUPTIBLE 2
#define PF_KTHREAD 0x00200000

struct thread_info {
	unsigned long flags;
	int preempt_count;
	struct task_struct *task; /* in one at a stack's low end */
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int __state;
	void *stack;
	unsigned int flags;
	struct list_head tasks;
	struct list_head thread_group;
	struct list_head run_list;
	int pid, tgid;
	char comm[TASK_COMM_LEN];
	int (*threadfn)(void *data);
	void *data;
	struct thread_struct thread;
};

/* One CPU's: what runs there, and what waits to. */
struct rq {
	struct task_struct *curr, *idle;
	struct list_head waiting;
};

DECLARE_PER_CPU(struct rq, runqueues);
extern struct task_struct init_task;
extern u64 jiffies_64;

struct task_struct *kernel_clone(int (*fn)(void *data), void *data, const char *comm);
struct task_struct *fork_idle(int cpu);
void schedule(void);
void wake_up_process(struct task_struct *p);
void sched_init(void);
/* Sleeps until woken. */
void sleep(void);
/* Lets all others run until they sleep. */
void yield(void);

/* arch.h: */
void arch_set_current(struct task_struct *p);

/* arch: switches stacks, with the registers that functions preserve on them. */
void __switch_to(struct thread_struct *prev, struct thread_struct *next);
/*
 * arch: starts a CPU that calls start_secondary on the stack of its idle task,
 * with its offset and its task set. Zero if there is one. The default has none.
 */
int arch_boot_cpu(int cpu, struct task_struct *idle);
void start_secondary(void);

/* arch: where a task begins, at its stack's top: it calls kthread. */
void ret_from_fork(void);
void kthread(void);

#endif
