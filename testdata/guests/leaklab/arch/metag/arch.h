/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Meta 2 on Leakvisor's interpreter (hv/emu): pages of 4 KB, the kernel in local
 * space, the layout of Linux 4.16's arch/metag/include/asm/pgtable.h.
 */
#ifndef ARCH_H
#define ARCH_H

#include "link.h"

#define PAGE_SHIFT 12
#define THREAD_SIZE 8192
#define PHYS_OFFSET 0x10000000UL
#define RAM_SIZE (32UL << 20)
#define PAGE_OFFSET 0x40000000UL
#define VMALLOC_START 0x78000000UL
#define VMALLOC_END (VMALLOC_START + (64UL << 20))
#define VMEMMAP_START 0x70000000UL
#define DEVICES_START 0x77000000UL

/* Page tables, the outermost level first: lowest bit and number of bits. */
#define PT_LEVELS { { 22, 9 }, { 12, 10 } }
typedef unsigned long pte_t;
static inline pte_t pt_empty(unsigned int level) { return 0; }
static inline int pt_is_empty(unsigned int level, pte_t e) { return !(e & 1); }
static inline pte_t pt_table(unsigned int level, unsigned long pa) { return pa | 1; }
/* Valid, writable, privileged; cached or not. */
static inline pte_t pt_page(unsigned long pa) { return pa | 0xcf; }
static inline pte_t pt_device(unsigned long pa) { return pa | 7; }
static inline unsigned long pt_address(unsigned int level, pte_t e) { return e & ~0xfffUL; }

void arch_load_tables(unsigned long pa);
void arch_flush_tlb(unsigned long va);
void arch_map_devices(void);
static inline void arch_console_init(void) {}

struct thread_struct {
	void *kernel_context; /* what __switch_to left on the stack */
};

unsigned long arch_cpu_offset(void);
void arch_set_cpu_offset(unsigned long offset);
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void));
void arch_write(const char *s);
void arch_power_off(void);

#endif
