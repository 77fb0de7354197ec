/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 32-bit MIPS, release 2, big-endian, on QEMU's Malta board: the direct map is
 * KSEG0, and what is mapped lies in KSEG2, as Linux has it.
 */
#ifndef ARCH_H
#define ARCH_H

#include "link.h"

#define PAGE_SHIFT 12
#define THREAD_SIZE 8192
#define PHYS_OFFSET 0UL
#define RAM_SIZE (32UL << 20)
#define PAGE_OFFSET 0x80000000UL
#define VMALLOC_START 0xc0000000UL
#define VMALLOC_END (VMALLOC_START + (64UL << 20))
#define VMEMMAP_START 0xd0000000UL
#define UNMAPPED_DIRECT_MAP

/*
 * Page tables, the outermost level first: lowest bit and number of bits. The
 * outer one has addresses in KSEG0; the entries of the inner one are those of
 * the TLB, six bits to the left, with a bit of Linux's for present ones.
 */
#define PT_LEVELS { { 22, 10 }, { 12, 10 } }
typedef unsigned long pte_t;
static inline pte_t pt_empty(unsigned int level) { return 0; }
static inline int pt_is_empty(unsigned int level, pte_t e) { return !e; }
static inline pte_t pt_table(unsigned int level, unsigned long pa) { return pa + PAGE_OFFSET; }
/* Cached (3), dirty, valid, global. */
static inline pte_t pt_page(unsigned long pa) { return pa | 3 << 9 | 7 << 6 | 1; }
static inline unsigned long pt_address(unsigned int level, pte_t e) { return e - PAGE_OFFSET; }

void arch_load_tables(unsigned long pa);
void arch_flush_tlb(unsigned long va);
static inline void arch_map_devices(void) {}
static inline void arch_console_init(void) {}

struct thread_struct {
	unsigned long reg29;
};

unsigned long arch_cpu_offset(void);
void arch_set_cpu_offset(unsigned long offset);
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void));
void arch_write(const char *s);
void arch_power_off(void);

#endif
