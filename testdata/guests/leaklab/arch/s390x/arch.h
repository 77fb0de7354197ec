/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * z/Architecture, 64-bit and big-endian, on QEMU's s390-ccw-virtio: three levels
 * of tables as in arch/s390/include/asm/pgtable.h, up to 4 TiB.
 */
#ifndef ARCH_H
#define ARCH_H

#include "link.h"

#define PAGE_SHIFT 12
#define THREAD_SIZE 16384
#define PHYS_OFFSET 0UL
#define RAM_SIZE (32UL << 20)
#define PAGE_OFFSET 0UL
#define VMALLOC_START 0x30000000000UL
#define VMALLOC_END (VMALLOC_START + (64UL << 20))
#define VMEMMAP_START 0x20000000000UL

/* Page tables, the outermost level first: lowest bit and number of bits. */
#define PT_LEVELS { { 31, 11 }, { 20, 11 }, { 12, 8 } }
typedef unsigned long pte_t;
static inline pte_t pt_empty(unsigned int level) { return level == 2 ? 0x400 : level == 1 ? 0x20 : 0x24; }
static inline int pt_is_empty(unsigned int level, pte_t e) { return e & (level == 2 ? 0x400 : 0x20); }
/* A region-third entry has its type and the length of a whole table. */
static inline pte_t pt_table(unsigned int level, unsigned long pa) { return level ? pa : pa | 7; }
static inline pte_t pt_page(unsigned long pa) { return pa; }
static inline unsigned long pt_address(unsigned int level, pte_t e) { return e & (level == 1 ? ~0x7ffUL : ~0xfffUL); }

void arch_load_tables(unsigned long pa);
static inline void arch_flush_tlb(unsigned long va) { __asm__ volatile("ptlb" : : : "memory"); }
static inline void arch_map_devices(void) {}
void arch_console_init(void);

struct thread_struct {
	unsigned long ksp;
};

unsigned long arch_cpu_offset(void);
void arch_set_cpu_offset(unsigned long offset);
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void));
void arch_write(const char *s);
void arch_power_off(void);

#endif
