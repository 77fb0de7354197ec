/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What modules do besides the plain allocators: the kernel's own objects,
 * leaked or kept in the places where drivers keep things. Lines and names are
 * those of groundtruth.h.
 */
#ifndef VARIETY_H
#define VARIETY_H

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

/* Says what the calling function planted. */
#define planted(p, size) say(__func__, (p), (size))
void say(const char *func, const void *p, size_t size);

/* Overwrites the dead part of the current stack. */
void scrub(void);

/* Starts a thread and waits until it has called settled(). */
struct task_struct *thread(int (*fn)(void *), void *data, const char *name);
void settled(void);
void sleep_for_ever(void);

/* From a cache of the module's own: nobody's leftover. */
#define OWN_SIZE 320
extern struct kmem_cache *own_cache;
#define own_alloc() kmem_cache_zalloc(own_cache, GFP_KERNEL)

void plant_leaks(void);
void plant_lives(void);
void use_subsystems(void);

#endif
