/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory whose fate is known: what a leak detector must and must not report.
 *
 * A plant is a function named plant_leak_NAME or plant_live_NAME. It says what
 * it planted, one line an object:
 *
 *	groundtruth: leak NAME[.N] 0xADDRESS SIZE
 *	groundtruth: task NAME[.N] COMM PID		(leaks only)
 *	groundtruth: live NAME[.N] 0xADDRESS SIZE
 *
 * A leak must be reported at that very address, with plant_leak_NAME in its
 * backtrace and that task. No report may overlap what is live. SIZE 0 is not
 * to be checked. Sizes are those of the slab caches, so that the requested
 * size and the size of the slab object are one.
 */
#ifndef GROUNDTRUTH_H
#define GROUNDTRUTH_H

#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

struct gt_plant {
	const char *name;
	void (*plant)(void);
};

#define GT_PLANT(fn) { .name = #fn, .plant = fn }

/* Each table ends in an empty row. */
extern const struct gt_plant gt_slab_leaks[];
extern const struct gt_plant gt_area_leaks[];
extern const struct gt_plant gt_graph_leaks[];
extern const struct gt_plant gt_context_leaks[];
extern const struct gt_plant gt_root_lives[];
extern const struct gt_plant gt_struct_lives[];
extern const struct gt_plant gt_page_lives[];
extern const struct gt_plant gt_thread_lives[];
extern const struct gt_plant gt_pending_lives[];
extern const struct gt_plant gt_freed[];

/* Says what the calling function planted; legal in every context but NMI. */
#define gt_planted(p, size) gt_say(__func__, -1, (p), (size))
#define gt_planted_n(n, p, size) gt_say(__func__, (n), (p), (size))
void gt_say(const char *func, int n, const void *p, size_t size);

/*
 * An object of GT_SIZE bytes that is nobody's leftover. The address of one from
 * kmalloc was often another object's, and is then still in the live frame of
 * some thread, or in the unused part of some array: a leak that no scanner can
 * tell from one that is not.
 */
#define GT_SIZE 512
#define gt_alloc(flags) kmem_cache_alloc(gt_cache, (flags))
extern struct kmem_cache *gt_cache;

/* A constructor, which keeps a cache from being merged with another. */
void gt_no_merge(void *object);

/* Overwrites the dead part of the current stack, and dead registers. */
void gt_scrub(void);

/* Runs fn deep below the current stack pointer (about 4 KB). */
void gt_deep(void (*fn)(void));

/*
 * Starts a kernel thread and waits until it has called gt_settled(), and is
 * asleep in gt_sleep() if it calls that. cpu < 0: any.
 */
struct task_struct *gt_thread(int (*fn)(void *), void *data, int cpu,
			      const char *name);
void gt_settled(void);
void gt_sleep(void); /* for ever */

/* The last CPU that is online: another one than CPU 0, if there is one. */
int gt_last_cpu(void);

/* Filler that hides nothing: a value that is no kernel address. */
#define GT_FILL 0x5a

#endif
