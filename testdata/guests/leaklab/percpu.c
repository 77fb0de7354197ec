// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Per-CPU memory: each CPU has a unit, a copy of the static variables and
 * behind it one chunk to allocate from. A pointer is an address in the image
 * or behind the static variables there, to which a CPU adds its offset.
 */
#include "mm.h"

#define PCPU_MIN_ALLOC_SIZE 4
#define DYNAMIC_PAGES (PERCPU_DYNAMIC >> PAGE_SHIFT)
#define SLOTS (PERCPU_DYNAMIC / PCPU_MIN_ALLOC_SIZE)

unsigned long __cpu_possible_mask[1] = { (1 << NR_CPUS) - 1 };
unsigned long __per_cpu_offset[NR_CPUS];
void *pcpu_base_addr;
int pcpu_unit_size;
const unsigned long *pcpu_unit_offsets;
struct pcpu_chunk *pcpu_first_chunk;
struct list_head *pcpu_chunk_lists;
int pcpu_nr_slots = 1;
static spinlock_t pcpu_lock;

static int test_bit(const unsigned long *map, unsigned int i) { return map[i / BITS_PER_LONG] >> i % BITS_PER_LONG & 1; }
static void set_bit(unsigned long *map, unsigned int i) { map[i / BITS_PER_LONG] |= 1UL << i % BITS_PER_LONG; }
static void clear_bit(unsigned long *map, unsigned int i) { map[i / BITS_PER_LONG] &= ~(1UL << i % BITS_PER_LONG); }

void setup_per_cpu_areas(void)
{
	unsigned long static_size = __per_cpu_end - __per_cpu_start; /* whole pages */
	unsigned long *offsets = memblock_alloc(NR_CPUS * sizeof(*offsets), sizeof(long));
	struct pcpu_chunk *chunk = memblock_alloc(sizeof(*chunk), sizeof(long));

	pcpu_unit_size = static_size + PERCPU_DYNAMIC;
	pcpu_base_addr = memblock_alloc(NR_CPUS * (size_t)pcpu_unit_size, PAGE_SIZE);
	for (int cpu = 0; cpu < NR_CPUS; cpu++) {
		offsets[cpu] = cpu ? offsets[cpu - 1] + pcpu_unit_size : 0;
		memcpy(pcpu_base_addr + offsets[cpu], __per_cpu_start, static_size);
		__per_cpu_offset[cpu] = (unsigned long)pcpu_base_addr + offsets[cpu] - (unsigned long)__per_cpu_start;
	}
	pcpu_unit_offsets = offsets;
	chunk->base_addr = pcpu_base_addr + static_size;
	chunk->nr_pages = DYNAMIC_PAGES;
	chunk->alloc_map = memblock_alloc(SLOTS / 8, sizeof(long));
	chunk->bound_map = memblock_alloc(SLOTS / 8 + sizeof(long), sizeof(long));
	set_bit(chunk->bound_map, 0);
	set_bit(chunk->bound_map, SLOTS);
	for (unsigned int i = 0; i < DYNAMIC_PAGES; i++)
		set_bit(chunk->populated, i);
	pcpu_chunk_lists = memblock_alloc(sizeof(*pcpu_chunk_lists), sizeof(long));
	INIT_LIST_HEAD(pcpu_chunk_lists);
	list_add(&chunk->list, pcpu_chunk_lists);
	pcpu_first_chunk = chunk;
	arch_set_cpu_offset(__per_cpu_offset[0]);
}

noinline void *pcpu_alloc(size_t size, size_t align, __always_unused int reserved, __always_unused gfp_t gfp)
{
	struct pcpu_chunk *chunk = pcpu_first_chunk;
	unsigned int n = ALIGN(size, (size_t)PCPU_MIN_ALLOC_SIZE) / PCPU_MIN_ALLOC_SIZE;
	unsigned int step = align > PCPU_MIN_ALLOC_SIZE ? align / PCPU_MIN_ALLOC_SIZE : 1;

	spin_lock(&pcpu_lock);
	for (unsigned int i = 0; i + n <= SLOTS; i += step) {
		unsigned int used = 0;
		char *at;

		while (used < n && !test_bit(chunk->alloc_map, i + used))
			used++;
		if (used < n)
			continue;
		for (used = 0; used < n; used++) {
			set_bit(chunk->alloc_map, i + used);
			if (used)
				clear_bit(chunk->bound_map, i + used);
		}
		set_bit(chunk->bound_map, i);
		set_bit(chunk->bound_map, i + n);
		spin_unlock(&pcpu_lock);
		at = (char *)chunk->base_addr + i * PCPU_MIN_ALLOC_SIZE;
		for (int cpu = 0; cpu < NR_CPUS; cpu++)
			memset(at + pcpu_unit_offsets[cpu], 0, n * PCPU_MIN_ALLOC_SIZE);
		return at - (char *)pcpu_base_addr + __per_cpu_start;
	}
	spin_unlock(&pcpu_lock);
	return NULL;
}

noinline void *__alloc_percpu(size_t size, size_t align)
{
	void *p = pcpu_alloc(size, align, 0, GFP_KERNEL);

	barrier();
	return p;
}

noinline void free_percpu(void *p)
{
	struct pcpu_chunk *chunk = pcpu_first_chunk;
	unsigned int i;

	if (!p)
		return;
	i = ((char *)p - __per_cpu_start + (char *)pcpu_base_addr - (char *)chunk->base_addr) / PCPU_MIN_ALLOC_SIZE;
	spin_lock(&pcpu_lock);
	do
		clear_bit(chunk->alloc_map, i);
	while (!test_bit(chunk->bound_map, ++i));
	spin_unlock(&pcpu_lock);
}
