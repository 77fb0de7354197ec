/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory whose fate is known. A plant is a function named plant_leak_NAME or
 * plant_live_NAME that says what it planted, one line an object:
 *
 *	leaklab: leak NAME[.N] 0xADDRESS SIZE
 *	leaklab: task NAME[.N] COMM PID		(leaks only)
 *	leaklab: live NAME[.N] 0xADDRESS SIZE
 *
 * A leak must be reported at that address, with its function in the backtrace
 * and that task; of what is live, nothing may be.
 */
#ifndef LEAKLAB_H
#define LEAKLAB_H

#include "sched.h"

struct plant {
	const char *name;
	void (*plant)(void);
};

#define PLANT(fn) { #fn, fn }

/* Each table ends in an empty row. */
extern const struct plant leaks[], lives[], freed[];

#define planted(p, size) say(__func__, -1, p, size)
#define planted_n(n, p, size) say(__func__, n, p, size)
void say(const char *func, int n, const void *p, size_t size);

/* Objects of a cache of their own, filled with what is no address. */
#define SIZE 512
#define FILL 0x5a
extern struct kmem_cache *plant_cache;
void *plant_alloc(void);

/* An object with a pointer in the middle. */
struct node {
	char head[64];
	struct node *next;
	struct list_head link;
	struct rcu_head rcu;
	char body[SIZE - 64 - 5 * sizeof(void *)];
};

/* smp.c: lets another CPU plant and work, if there is one. */
void other_cpu(void);

/* Runs a function as another task, until that sleeps. */
void as_task(const char *comm, int (*fn)(void *data), void *data);

/* Overwrites what is left of calls below the caller's frame. */
void scrub(void);

#endif
