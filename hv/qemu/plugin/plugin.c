/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TCG plugin that tells a reader process of executed addresses.
 *
 * It decides nothing: which addresses, registers and memory to tell of comes
 * as a plan through shared memory (shared.h). When kernel text is translated
 * for the first time the vCPU waits for that plan. From then on each passage
 * of a hook becomes a record in a ring; a full ring makes the vCPU wait, so
 * nothing is ever lost. No wait is without an end: all of them look whether
 * the reader still lives, and leave QEMU at once when it does not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "api.h"
#include "shared.h"

#define EXPORT __attribute__((visibility("default")))
#define load(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define likely(x) __builtin_expect(!!(x), 1)

EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

/* What one vCPU's thread needs. */
struct vcpu {
	GByteArray *regs, *mem;
	struct qemu_plugin_register *handles[MAX_REGS];
	uint64_t root;     /* of the page tables, for the event at hand */
	unsigned first;    /* first level of the page tables in use */
	unsigned checked;  /* walks of the page tables compared with QEMU's */
	uint8_t stack[MAX_STACK], array[MAX_ARRAY * 8];
};

#define CHECKS 100 /* walks that are compared, for each vCPU */

/* Calls in progress, by stack pointer. */
#define BUCKETS 8192
#define SLOTS 7
struct open_call { uint64_t sp, array; uint32_t max; int32_t hook; };
struct bucket { uint8_t lock; struct open_call slots[SLOTS]; };

static struct control *ctl;
static uint8_t *ring;
static const uint8_t *ram;
static bool walk; /* read memory by walking the page tables */
static const struct plan *plan; /* NULL until armed */
static struct vcpu *vcpus[MAX_VCPUS];
static struct bucket *open_calls;

/* waiting: sleeping until the reader acts */

static void check_reader(void)
{
	if ((uint32_t)getppid() != ctl->parent)
		_exit(3);
}

static void futex_wait(uint32_t *word, uint32_t seen)
{
	struct timespec limit = { 0, 100 * 1000 * 1000 };

	syscall(SYS_futex, word, FUTEX_WAIT, seen, &limit, NULL, 0);
	check_reader();
}

static void ring_bell(void)
{
	uint64_t one = 1;

	while (write(ctl->bell, &one, sizeof one) < 0 && errno == EINTR)
		;
}

/* guest state */

static uint64_t number(const uint8_t *p, unsigned size)
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

static uint64_t read_reg(struct vcpu *v, unsigned reg)
{
	int n;

	if (reg >= MAX_REGS || !v->handles[reg])
		return 0;
	v->regs->len = 0;
	n = qemu_plugin_read_register(v->handles[reg], v->regs);
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

/* Returns what is at addr; *left is how much of it is in one piece. */
static const uint8_t *translate(const struct vcpu *v, uint64_t addr, uint64_t *left)
{
	const struct paging *t = &plan->paging;
	uint64_t table = v->root & t->frame;
	const struct level *top = &t->levels[v->first];
	int64_t sign = (int64_t)addr >> (top->shift + top->bits - 1);

	if (t->canonical && sign != 0 && sign != -1)
		return NULL;
	for (unsigned i = v->first; i < t->nlevels; i++) {
		const struct level *l = &t->levels[i];
		uint64_t index = (addr >> l->shift) & (((uint64_t)1 << l->bits) - 1);
		const uint8_t *p = physical(table + index * t->entry_size, left);
		if (!p || *left < t->entry_size)
			return NULL;
		uint64_t entry = number(p, t->entry_size);
		if (!(entry & t->present))
			return NULL;
		if (i == t->nlevels - 1 || entry & l->leaf) {
			uint64_t in_page = ((uint64_t)1 << l->shift) - 1, in_ram;
			p = physical((entry & t->frame & ~in_page) | (addr & in_page), &in_ram);
			*left = in_page + 1 - (addr & in_page);
			if (p && in_ram < *left)
				*left = in_ram;
			return p;
		}
		table = entry & t->frame;
	}
	return NULL;
}

/* Makes translate ready for an event: the tables may be others each time. */
static void begin_walks(struct vcpu *v)
{
	const struct paging *t = &plan->paging;

	if (!walk)
		return;
	if (!v->checked && t->extra != NONE)
		v->first = !(read_reg(v, t->extra) & t->extra_mask);
	v->root = read_reg(v, t->root);
}

/* Reads n bytes at addr, or as far as whole pages can be read. */
static unsigned read_memory(struct vcpu *v, uint64_t addr, uint8_t *to, unsigned n)
{
	unsigned done = 0;

	while (done < n) {
		uint64_t left, at = addr + done;
		unsigned want = n - done;
		const uint8_t *p = walk ? translate(v, at, &left) : NULL;
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

static void fetch_context(struct vcpu *v, const uint64_t *reads, uint8_t *context)
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

/* calls in progress */

static struct bucket *lock_bucket(uint64_t sp)
{
	struct bucket *b = &open_calls[(sp * 0x9e3779b97f4a7c15ull) >> 51];

	while (__atomic_test_and_set(&b->lock, __ATOMIC_ACQUIRE))
		sched_yield();
	return b;
}

static void unlock_bucket(struct bucket *b)
{
	__atomic_clear(&b->lock, __ATOMIC_RELEASE);
}

static void open_call(uint64_t sp, int hook, uint64_t array, uint64_t max)
{
	struct bucket *b = lock_bucket(sp);
	struct open_call *c = NULL;

	for (int i = 0; i < SLOTS; i++) {
		if (b->slots[i].sp == sp) {
			c = &b->slots[i];
			break;
		}
		if (!c && !b->slots[i].sp)
			c = &b->slots[i];
	}
	if (c) {
		/* A tail call keeps what its caller's entry left here. */
		if (c->sp != sp)
			*c = (struct open_call){ .sp = sp, .hook = -1 };
		if (hook >= 0) {
			c->hook = hook;
			c->array = array;
			c->max = max < MAX_ARRAY ? max : MAX_ARRAY;
		}
	} else {
		store(&ctl->overflow, 1); /* from now on tell of every exit */
	}
	unlock_bucket(b);
}

static bool close_call(uint64_t sp, struct open_call *call)
{
	struct bucket *b = lock_bucket(sp);
	bool found = false;

	for (int i = 0; i < SLOTS && !found; i++) {
		if (b->slots[i].sp == sp) {
			*call = b->slots[i];
			b->slots[i].sp = 0;
			found = true;
		}
	}
	unlock_bucket(b);
	return found;
}

/* the ring */

static uint32_t padded(uint32_t n, uint32_t to) { return (n + to - 1) & ~(to - 1); }

static void wait_for_room(uint64_t end)
{
	while (end - load(&ctl->tail) > ctl->ring_bytes) {
		uint32_t seen = load(&ctl->room);
		add(&ctl->waiters, 1);
		if (end - load(&ctl->tail) > ctl->ring_bytes) {
			ring_bell();
			futex_wait(&ctl->room, seen);
		}
		add(&ctl->waiters, -1);
	}
}

static void emit(unsigned cpu, struct record *r, uint8_t kind, uint8_t flags,
		 const uint8_t *context, const uint8_t *stack, const uint8_t *array)
{
	struct vcpu_state *state = &ctl->vcpu[cpu];
	uint32_t context_len = padded(r->context_len, 8), stack_len = padded(r->stack_len, 8);
	uint32_t len = padded(sizeof *r + context_len + stack_len + r->array_len, 64);
	uint64_t wake;

	r->seq = state->produced;
	store(&state->produced, r->seq + 1);

	/* The place in the ring is the order of events. All that was read of
	 * the guest was read before. */
	uint64_t pos = add(&ctl->head, len);
	wait_for_room(pos + len);

	/* The ring is mapped twice in a row, so a record never wraps. */
	uint8_t *p = ring + pos % ctl->ring_bytes;
	memcpy(p + sizeof r->commit, (uint8_t *)r + sizeof r->commit, sizeof *r - sizeof r->commit);
	uint8_t *to = p + sizeof *r;
	memcpy(to, context, r->context_len);
	memcpy(to += context_len, stack, r->stack_len);
	memcpy(to += stack_len, array, r->array_len);
	store((uint64_t *)p, len | (uint64_t)kind << 32 | (uint64_t)flags << 40 | (uint64_t)cpu << 48);

	wake = load(&ctl->wake_at);
	if ((flags & FLAG_SYNC) ||
	    (pos + len >= wake &&
	     __atomic_compare_exchange_n(&ctl->wake_at, &wake, UINT64_MAX, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)))
		ring_bell();
}

/* Stands still until the reader has handled the record, or needs the vCPU to
 * leave because it stops the machine. */
static void hold(struct vcpu_state *state)
{
	for (;;) {
		uint32_t seen = load(&ctl->wakes);
		if (load(&state->done) >= state->hold)
			return;
		if (load(&ctl->pausing)) {
			store(&state->broken, state->hold);
			return;
		}
		futex_wait(&ctl->wakes, seen);
	}
}

/* hooks */

static uint32_t read_array(struct vcpu *v, uint64_t addr, uint64_t count, uint8_t *flags)
{
	uint32_t n, got;

	if (count > MAX_ARRAY) {
		count = MAX_ARRAY;
		*flags |= FLAG_ARRAY_SHORT;
	}
	n = count * ctl->word_size;
	got = read_memory(v, addr, v->array, n);
	if (got != n)
		*flags |= FLAG_ARRAY_SHORT;
	return got - got % ctl->word_size;
}

static void on_entry(unsigned cpu, void *data)
{
	const struct site *s = data;
	const struct hook *h = (const struct hook *)((const uint8_t *)plan + plan->hooks) + s->entry;
	struct vcpu *v = vcpus[cpu];
	struct vcpu_state *state = &ctl->vcpu[cpu];
	struct record r = { .hook = s->entry, .pc = s->addr };
	uint64_t reads[MAX_READS];
	uint8_t context[MAX_CONTEXT], flags = 0;

	for (uint32_t i = 0; i < plan->nreads; i++)
		reads[i] = read_reg(v, plan->reads[i]);
	for (int i = 0; i < h->nargs; i++)
		r.args[i] = read_reg(v, plan->args[i]);
	r.sp = reads[plan->sp];
	begin_walks(v);
	if (walk && v->checked < CHECKS)
		check_walk(v, r.sp & ~(uint64_t)15);
	if (plan->fp != NONE)
		r.fp = reads[plan->fp];

	if (h->stack_bytes) {
		uint64_t n = h->stack_bytes;
		if (plan->stack_align) {
			uint64_t left = plan->stack_align - (r.sp & (plan->stack_align - 1));
			if (n > left)
				n = left;
		}
		r.stack_len = read_memory(v, r.sp, v->stack, n);
	}
	if (plan->link != NONE)
		r.ret = reads[plan->link];
	else if (r.stack_len >= ctl->word_size)
		r.ret = number(v->stack, ctl->word_size);
	else if (read_memory(v, r.sp, context, ctl->word_size) == ctl->word_size)
		r.ret = number(context, ctl->word_size);

	r.context_len = plan->context_bytes;
	fetch_context(v, reads, context);

	if (h->when == ARRAY_AT_ENTRY)
		r.array_len = read_array(v, r.args[h->pointer], r.args[h->count], &flags);
	if (h->exits)
		open_call(r.sp, h->when == ARRAY_AT_EXIT ? s->entry : -1,
			  r.args[h->pointer], r.args[h->count]);
	if (h->sync) {
		flags |= FLAG_SYNC;
		r.hold = state->hold + 1;
		store(&state->hold, r.hold);
	}
	emit(cpu, &r, KIND_ENTRY, flags, context, v->stack, v->array);
	if (h->sync)
		hold(state);
}

static void on_exit_site(unsigned cpu, void *data)
{
	const struct site *s = data;
	struct vcpu *v = vcpus[cpu];
	struct open_call call = { .hook = -1 };
	struct record r = { .hook = s->exit, .pc = s->addr };
	uint8_t flags = 0;

	r.sp = read_reg(v, plan->exit_sp);
	if (!close_call(r.sp, &call)) {
		if (likely(!load(&ctl->overflow))) {
			ctl->vcpu[cpu].filtered++;
			return;
		}
		flags |= FLAG_ARRAY_SHORT;
	}
	r.result = read_reg(v, plan->exit_result);
	if (call.hook >= 0) {
		begin_walks(v);
		r.array_len = read_array(v, call.array,
					 r.result < call.max ? r.result : call.max, &flags);
	}
	emit(cpu, &r, KIND_EXIT, flags, NULL, NULL, v->array);
}

/* translation */

/* The first kernel text: tells the reader, which answers with the plan. */
static void enter_kernel(uint64_t pc)
{
	uint32_t boot = PHASE_BOOT;

	if (__atomic_compare_exchange_n(&ctl->phase, &boot, PHASE_ENTERING, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		GByteArray *code = g_byte_array_new();
		ctl->entered_pc = pc;
		g_byte_array_set_size(code, sizeof ctl->code);
		/* As much as there is before the end of a page, at worst. */
		unsigned n = sizeof ctl->code;
		if (!qemu_plugin_read_memory_vaddr(pc, code, n) &&
		    !qemu_plugin_read_memory_vaddr(pc, code, n = 1 + (~pc & (n - 1))))
			n = 0;
		memcpy(ctl->code, code->data, n);
		ctl->code_len = n;
		uint32_t entering = PHASE_ENTERING; /* or armed: the reader gave up */
		__atomic_compare_exchange_n(&ctl->phase, &entering, PHASE_ENTERED, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		ring_bell();
	}
	for (;;) {
		uint32_t seen = load(&ctl->wakes);
		if (load(&ctl->phase) == PHASE_ARMED)
			break;
		futex_wait(&ctl->wakes, seen);
	}
	const struct plan *p = (const struct plan *)((uint8_t *)ctl + ctl->plan_offset);
	if (!plan && ram)
		walk = p->paging.nlevels > 0;
	plan = p;
}

static const struct site *find_site(uint64_t addr)
{
	const uint8_t *base = (const uint8_t *)plan;
	const struct site *sites = (const struct site *)(base + plan->sites);
	const uint32_t *hash = (const uint32_t *)(base + plan->hash);
	uint64_t mask = ((uint64_t)1 << plan->hash_bits) - 1;
	uint64_t i = (addr * 0x9e3779b97f4a7c15ull) >> (64 - plan->hash_bits);

	for (; hash[i]; i = (i + 1) & mask)
		if (sites[hash[i] - 1].addr == addr)
			return &sites[hash[i] - 1];
	return NULL;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint64_t pc = qemu_plugin_tb_vaddr(tb);
	size_t n = qemu_plugin_tb_n_insns(tb);
	(void)id;

	if (pc < ctl->text)
		return;
	if (!plan)
		enter_kernel(pc);
	if (!plan->nsites)
		return;
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t addr = qemu_plugin_insn_vaddr(insn);
		const struct site *s;

		if (addr < plan->low || addr > plan->high || !(s = find_site(addr)))
			continue;
		if (s->entry >= 0)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_entry,
				QEMU_PLUGIN_CB_R_REGS, (void *)s);
		if (s->exit >= -1)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_exit_site,
				QEMU_PLUGIN_CB_R_REGS, (void *)s);
	}
}

/* start */

static void on_vcpu_init(qemu_plugin_id_t id, unsigned cpu)
{
	struct vcpu *v = calloc(1, sizeof *v);
	GArray *all = qemu_plugin_get_registers();
	const qemu_plugin_reg_descriptor *desc = (const void *)all->data;
	(void)id;

	if (!v || cpu >= MAX_VCPUS) {
		fprintf(stderr, "leakvisor plugin: vCPU %u cannot be served\n", cpu);
		_exit(3);
	}
	v->regs = g_byte_array_new();
	v->mem = g_byte_array_new();
	g_byte_array_set_size(v->mem, MAX_SPAN);
	for (uint32_t i = 0; i < ctl->nregs; i++) {
		for (unsigned j = 0; j < all->len; j++) {
			if (!strcmp(desc[j].name, ctl->regs[i])) {
				v->handles[i] = desc[j].handle;
				break;
			}
		}
		if (!v->handles[i])
			__atomic_fetch_or(&ctl->missing, (uint64_t)1 << i, __ATOMIC_SEQ_CST);
	}
	vcpus[cpu] = v;
}

static int fail(const char *what)
{
	fprintf(stderr, "leakvisor plugin: %s: %s\n", what, strerror(errno));
	return 1;
}

static int map_shared(int fd)
{
	struct stat st;
	uint8_t *twice;

	if (fstat(fd, &st) < 0)
		return fail("shared memory");
	if ((size_t)st.st_size < sizeof *ctl)
		return fail("shared memory is too small");
	ctl = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ctl == MAP_FAILED)
		return fail("mapping shared memory");
	if (ctl->magic != SHARED_MAGIC || ctl->control_size != sizeof *ctl ||
	    ctl->record_size != sizeof(struct record) || ctl->plan_size != sizeof(struct plan) ||
	    ctl->row_sizes != (sizeof(struct site) << 24 | sizeof(struct hook) << 16 |
			       sizeof(struct group) << 8 | sizeof(struct member)) ||
	    ctl->nregs > MAX_REGS) {
		fprintf(stderr, "leakvisor plugin: the reader is of another version\n");
		return 1;
	}
	twice = mmap(NULL, 2 * ctl->ring_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (twice == MAP_FAILED)
		return fail("reserving the ring");
	for (int i = 0; i < 2; i++)
		if (mmap(twice + i * ctl->ring_bytes, ctl->ring_bytes, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, ctl->ring_offset) == MAP_FAILED)
			return fail("mapping the ring");
	ring = twice;
	if (ctl->ram_bytes) {
		const void *p = mmap(NULL, ctl->ram_bytes, PROT_READ, MAP_SHARED, ctl->ram, 0);
		if (p != MAP_FAILED)
			ram = p;
	}
	return 0;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "probe=on")) {
			/* Only asked for the API's version. */
			fprintf(stderr, "leakvisor plugin: api %d to %d\n",
				info->version.min, info->version.cur);
			return 1;
		}
		if (!strncmp(argv[i], "shared=", 7) && map_shared(atoi(argv[i] + 7)))
			return 1;
	}
	if (!ctl)
		return fail("no shared memory was given");
	open_calls = calloc(BUCKETS, sizeof *open_calls);
	if (!open_calls)
		return fail("table of open calls");
	check_reader();
	qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
