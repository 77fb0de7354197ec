/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AArch64 on QEMU's virt machine: 4 KB pages, 48 bits of address, the layout of
 * Documentation/arch/arm64/memory.rst.
 */
#ifndef ARCH_H
#define ARCH_H

#include "link.h"

#define PAGE_SHIFT 12
#define THREAD_SIZE 16384
#define PHYS_OFFSET 0x40000000UL
#define RAM_SIZE (32UL << 20)
#define PAGE_OFFSET 0xffff000000000000UL
#define VMALLOC_START 0xffff800100000000UL
#define VMALLOC_END (VMALLOC_START + (64UL << 20))
#define VMEMMAP_START 0xfffffc0000000000UL
#define UART_START 0xfffffbfffe000000UL

/* Page tables, the outermost level first: lowest bit and number of bits. */
#define PT_LEVELS { { 39, 9 }, { 30, 9 }, { 21, 9 }, { 12, 9 } }
typedef unsigned long pte_t;
static inline pte_t pt_empty(unsigned int level) { return 0; }
static inline int pt_is_empty(unsigned int level, pte_t e) { return !(e & 1); }
static inline pte_t pt_table(unsigned int level, unsigned long pa) { return pa | 3; }
/* Accessed, inner shareable, memory (attribute 0) or device (1). */
static inline pte_t pt_page(unsigned long pa) { return pa | 0x703; }
static inline pte_t pt_device(unsigned long pa) { return pa | 0x407; }
static inline unsigned long pt_address(unsigned int level, pte_t e) { return e & 0x0000fffffffff000UL; }

static inline void arch_load_tables(unsigned long pa)
{
	__asm__ volatile("dsb ishst\n\tmsr ttbr1_el1, %0\n\tisb\n\ttlbi vmalle1\n\tdsb ish\n\tisb"
			 : : "r"(pa) : "memory");
}

static inline void arch_flush_tlb(unsigned long va)
{
	__asm__ volatile("dsb ishst\n\ttlbi vaae1is, %0\n\tdsb ish\n\tisb" : : "r"(va >> 12 & ((1UL << 44) - 1)) : "memory");
}

void arch_map_devices(void);
static inline void arch_console_init(void) {}

struct cpu_context {
	unsigned long sp;
};

struct thread_struct {
	struct cpu_context cpu_context;
};

static inline unsigned long arch_cpu_offset(void)
{
	unsigned long v;

	__asm__ volatile("mrs %0, tpidr_el1" : "=r"(v));
	return v;
}

static inline void arch_set_cpu_offset(unsigned long offset) { __asm__ volatile("msr tpidr_el1, %0" : : "r"(offset) : "memory"); }
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void));
void arch_write(const char *s);
void arch_power_off(void);

#endif
