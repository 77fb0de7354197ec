/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TILE-Gx on Leakvisor's interpreter (hv/emu): pages of 64 KB, 42 bits of
 * address, the layout of Linux 4.14's arch/tile/include/asm/page.h, the page
 * tables of its arch/tile/include/hv/hypervisor.h.
 */
#ifndef ARCH_H
#define ARCH_H

#include "link.h"

#define PAGE_SHIFT 16
#define THREAD_SIZE 65536
#define PHYS_OFFSET 0UL
#define RAM_SIZE (32UL << 20)
#define PAGE_OFFSET 0xfffffe0000000000UL
#define VMALLOC_START 0xfffffff500000000UL
#define VMALLOC_END (VMALLOC_START + (64UL << 20))
#define VMEMMAP_START 0xfffffff600000000UL
#define DEVICES_START 0xfffffff6f0000000UL

/* Page tables, the outermost level first: lowest bit and number of bits. */
#define PT_LEVELS { { 32, 10 }, { 24, 8 }, { 16, 8 } }
typedef unsigned long pte_t;
static inline pte_t pt_empty(unsigned int level) { return 0; }
static inline int pt_is_empty(unsigned int level, pte_t e) { return !(e & 1); }
/* Addresses are kept in units of 2 KB from bit 35 on. */
static inline pte_t pt_table(unsigned int level, unsigned long pa) { return pa << 24 | 1; }
/* Present, a page, global, accessed, dirty; cached; readable to executable. */
static inline pte_t pt_page(unsigned long pa) { return pa << 24 | 7UL << 32 | 4UL << 16 | 0x1b01; }
/* Uncached (MMIO). */
static inline pte_t pt_device(unsigned long pa) { return pa << 24 | 3UL << 32 | 5UL << 16 | 0x1b01; }
static inline unsigned long pt_address(unsigned int level, pte_t e) { return e >> 35 << 11; }

void arch_load_tables(unsigned long pa);
void arch_flush_tlb(unsigned long va);
void arch_map_devices(void);
static inline void arch_console_init(void) {}

struct thread_struct {
	unsigned long ksp;
};

register unsigned long my_cpu_offset_reg __asm__("tp");

static inline unsigned long arch_cpu_offset(void) { return my_cpu_offset_reg; }
static inline void arch_set_cpu_offset(unsigned long offset) { my_cpu_offset_reg = offset; }
void arch_thread_init(struct thread_struct *t, void *stack_top, void (*entry)(void));
void arch_write(const char *s);
void arch_power_off(void);

#endif
