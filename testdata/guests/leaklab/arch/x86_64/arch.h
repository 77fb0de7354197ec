/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86-64 on a PC: the memory layout of Documentation/arch/x86/x86_64/mm.rst,
 * without randomization.
 */
#ifndef ARCH_H
#define ARCH_H

#include "link.h"

#define PAGE_SHIFT 12
#define THREAD_SIZE 16384
#define PHYS_OFFSET 0UL
#define RAM_SIZE (32UL << 20)
#define PAGE_OFFSET 0xffff888000000000UL
#define VMALLOC_START 0xffffc90000000000UL
#define VMALLOC_END (VMALLOC_START + (64UL << 20))
#define VMEMMAP_START 0xffffea0000000000UL
#define APIC_START 0xffffffffff5fd000UL
#define ARCH_MEMORY_BASES

/* Page tables, the outermost level first: lowest bit and number of bits. */
#define PT_LEVELS { { 39, 9 }, { 30, 9 }, { 21, 9 }, { 12, 9 } }
typedef unsigned long pte_t;
static inline pte_t pt_empty(unsigned int level) { return 0; }
static inline int pt_is_empty(unsigned int level, pte_t e) { return !(e & 1); }
static inline pte_t pt_table(unsigned int level, unsigned long pa) { return pa | 3; }
static inline pte_t pt_page(unsigned long pa) { return pa | 0x63; }
static inline unsigned long pt_address(unsigned int level, pte_t e) { return e & 0x000ffffffffff000UL; }

static inline void arch_load_tables(unsigned long pa) { __asm__ volatile("mov %0, %%cr3" : : "r"(pa) : "memory"); }
static inline void arch_flush_tlb(unsigned long va) { __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory"); }
void arch_map_devices(void);
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
