/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit x86 on a PC, without PAE, the kernel in the highest gigabyte. */
#ifndef ARCH_H
#define ARCH_H

#include "link.h"

#define PAGE_SHIFT 12
#define THREAD_SIZE 8192
#define PHYS_OFFSET 0UL
#define RAM_SIZE (32UL << 20)
#define PAGE_OFFSET 0xc0000000UL
#define VMALLOC_START 0xd0000000UL
#define VMALLOC_END (VMALLOC_START + (64UL << 20))
#define VMEMMAP_START 0xe0000000UL

/* Page tables, the outermost level first: lowest bit and number of bits. */
#define PT_LEVELS { { 22, 10 }, { 12, 10 } }
typedef unsigned long pte_t;
static inline pte_t pt_empty(unsigned int level) { return 0; }
static inline int pt_is_empty(unsigned int level, pte_t e) { return !(e & 1); }
static inline pte_t pt_table(unsigned int level, unsigned long pa) { return pa | 3; }
static inline pte_t pt_page(unsigned long pa) { return pa | 0x63; }
static inline unsigned long pt_address(unsigned int level, pte_t e) { return e & ~0xfffUL; }

static inline void arch_load_tables(unsigned long pa) { __asm__ volatile("mov %0, %%cr3" : : "r"(pa) : "memory"); }
static inline void arch_flush_tlb(unsigned long va) { __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory"); }
static inline void arch_map_devices(void) {}
void arch_console_init(void);

struct thread_struct {
	unsigned long sp;
};

unsigned long arch_cpu_offset(void);
void arch_set_cpu_offset(unsigned long offset);
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void));
void arch_write(const char *s);
void arch_power_off(void);

#endif
