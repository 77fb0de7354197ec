/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "plugin.h"

#define CHECKS 100 /* walks that are compared with QEMU's, for each vCPU */

bool walk;

/* guest state */

uint64_t number(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	if (size > 8)
		size = 8;
	if (!ctl->big_endian && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
		memcpy(&v, p, size);
		return v;
	}
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)p[ctl->big_endian ? size - 1 - i : i] << 8 * i;
	return v;
}

uint64_t read_reg(struct vcpu *v, unsigned reg)
{
	int n;

	if (reg >= MAX_REGS)
		return 0;
	v->regs->len = 0;
	if (v->handles[reg])
		n = qemu_plugin_read_register(v->handles[reg], v->regs);
	else if (v->cpu && ctl->numbers[reg] >= 0)
		n = gdb_read_register(v->cpu, v->regs, ctl->numbers[reg]);
	else
		return 0;
	return n > 0 ? number(v->regs->data, n) : 0;
}

/* guest memory
 *
 * QEMU's own reads cost some 0.2 us each, most of it for the page tables.
 * Guest RAM is a file that is mapped here too, so the tables can be walked
 * directly. Whatever that does not find is left to QEMU. */

static const uint8_t *physical(uint64_t gpa, uint64_t *left)
{
	for (uint32_t i = 0; i < ctl->npieces; i++) {
		const struct piece *p = &ctl->pieces[i];
		if (gpa - p->gpa < p->size) {
			*left = p->size - (gpa - p->gpa);
			return ram + p->offset + (gpa - p->gpa);
		}
	}
	return NULL;
}

bool holds(struct match m, uint64_t v) { return m.mask && (v & m.mask) == m.value; }

/* Returns what is at addr; *left is how much of it is in one piece. */
static const uint8_t *translate(const struct vcpu *v, uint64_t addr, uint64_t *left)
{
	const struct paging *t = &plan->paging;
	uint64_t table = v->root & t->frame;
	const struct level *top = &t->levels[v->first];

	for (unsigned i = 0; i < t->nlinear; i++)
		if (addr >= t->linear[i].start && addr < t->linear[i].end)
			return physical(addr - t->linear[i].start + t->linear[i].phys, left);
	if (!t->nlevels)
		return NULL;
	int64_t sign = (int64_t)addr >> (top->shift + top->bits - 1);
	if (t->canonical && sign != 0 && sign != -1)
		return NULL;
	if (!t->canonical && top->shift + top->bits < 64 &&
	    (addr >> (top->shift + top->bits)) != t->high)
		return NULL;
	for (unsigned i = v->first; i < t->nlevels; i++) {
		const struct level *l = &t->levels[i];
		uint64_t index = (addr >> l->shift) & (((uint64_t)1 << l->bits) - 1);
		const uint8_t *p = physical(table + index * t->entry_size, left);
		if (!p || *left < t->entry_size)
			return NULL;
		uint64_t entry = number(p, t->entry_size);
		if (holds(l->absent, entry))
			return NULL;
		if (i == t->nlevels - 1 || holds(l->leaf, entry)) {
			uint64_t in_page = ((uint64_t)1 << l->shift) - 1, in_ram;
			p = physical((entry & l->frame & ~in_page) | (addr & in_page), &in_ram);
			*left = in_page + 1 - (addr & in_page);
			if (p && in_ram < *left)
				*left = in_ram;
			return p;
		}
		table = entry & l->frame;
	}
	return NULL;
}

/* The same where no tables are needed. A software TLB may not have such an
 * address, and then QEMU does not read it. */
static const uint8_t *direct(uint64_t addr, uint64_t *left)
{
	for (uint64_t i = 0; ram && i < plan->nlinear; i++) {
		const struct linear *l = &plan->linear[i];
		const uint8_t *p;

		if (addr < l->start || addr >= l->end)
			continue;
		p = physical(addr - l->start + l->phys, left);
		if (p && l->end - addr < *left)
			*left = l->end - addr;
		return p;
	}
	return NULL;
}

/* Reads n bytes at addr, or as far as whole pages can be read. */
unsigned read_memory(struct vcpu *v, uint64_t addr, uint8_t *to, unsigned n)
{
	unsigned done = 0;

	while (done < n) {
		uint64_t left, at = addr + done;
		unsigned want = n - done;
		const uint8_t *p = direct(at, &left);
		if (!p && walk)
			p = translate(v, at, &left);
		if (p) {
			if (left < want)
				want = left;
			memcpy(to + done, p, want);
		} else {
			if (want > 4096 - (at & 4095))
				want = 4096 - (at & 4095);
			if (!qemu_plugin_read_memory_vaddr(at, v->mem, want))
				break;
			memcpy(to + done, v->mem->data, want);
		}
		done += want;
	}
	return done;
}

/* Compares a walk's outcome at addr, which no other vCPU writes to, with what
 * QEMU reads there: without agreement no walk is trusted. */
static void check_walk(struct vcpu *v, uint64_t addr)
{
	uint64_t left;
	const uint8_t *p = translate(v, addr, &left);

	if (!qemu_plugin_read_memory_vaddr(addr, v->mem, ctl->word_size))
		return;
	if (p && left >= ctl->word_size && memcmp(p, v->mem->data, ctl->word_size))
		walk = false;
	v->checked++;
}

/* Makes read_memory ready for an event: the tables may be others each time. */
void begin_walks(struct vcpu *v, uint64_t sp)
{
	const struct paging *t = &plan->paging;

	if (!walk)
		return;
	if (t->nlevels) {
		if (!v->checked && t->extra != NONE)
			v->first = !(read_reg(v, t->extra) & t->extra_mask);
		v->root = read_reg(v, t->root);
	}
	if (v->checked < CHECKS)
		check_walk(v, sp & ~(uint64_t)15);
}

void fetch_context(struct vcpu *v, const uint64_t *reads, uint8_t *context)
{
	const uint8_t *base = (const uint8_t *)plan;
	const struct group *g = (const struct group *)(base + plan->groups);
	const struct member *members = (const struct member *)(base + plan->members);
	uint8_t span[MAX_SPAN], tail[16];

	memset(context, 0, plan->context_bytes);
	for (uint32_t i = 0; i < plan->ngroups; i++, g++) {
		const struct member *m = members + g->first;
		uint64_t addr = g->offset;

		if (g->base == BASE_REG)
			addr += reads[g->from];
		else if (g->base == BASE_PREV) {
			uint64_t prev = number(context + g->from, ctl->word_size);
			if (!prev)
				continue;
			addr += prev;
		}
		if (ctl->word_size == 4)
			addr = (uint32_t)addr;
		unsigned got = read_memory(v, addr, span, g->span);
		for (uint32_t j = 0; j < g->nmembers; j++, m++)
			if (m->at + m->size <= got)
				memcpy(context + m->to, span + m->at, m->size);
			else if (read_memory(v, addr + m->at, tail, m->size) == m->size)
				memcpy(context + m->to, tail, m->size);
	}
}
