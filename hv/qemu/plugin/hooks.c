/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sched.h>
#include <stdlib.h>

#include "plugin.h"

/* Calls in progress, by stack pointer: an exit is told of only if an entry
 * with exits is open there, for exits are shared with functions that nobody
 * asked about. */
#define BUCKETS 8192
#define SLOTS 7
struct open_call { uint64_t sp, array; uint32_t max; int32_t hook; };
struct bucket { uint8_t lock; struct open_call slots[SLOTS]; };

static struct bucket *open_calls;

bool init_hooks(void)
{
	open_calls = calloc(BUCKETS, sizeof *open_calls);
	return open_calls;
}

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

/* An address may be the user's as well as the kernel's. */
static bool in_user_mode(struct vcpu *v)
{
	return plan->user != NONE && holds(plan->user_if, read_reg(v, plan->user));
}

/* The word that far above the stack pointer. */
static uint64_t stack_word(struct vcpu *v, const struct record *r, unsigned offset)
{
	uint8_t word[8];

	if (offset + ctl->word_size <= r->stack_len)
		return number(v->stack + offset, ctl->word_size);
	if (read_memory(v, r->sp + offset, word, ctl->word_size) == ctl->word_size)
		return number(word, ctl->word_size);
	return 0;
}

void on_entry(unsigned cpu, void *data)
{
	const struct site *s = data;
	const struct hook *h = (const struct hook *)((const uint8_t *)plan + plan->hooks) + s->entry;
	struct vcpu *v = vcpus[cpu];
	struct vcpu_state *state = &ctl->vcpu[cpu];
	struct record r = { .hook = s->entry, .pc = s->addr };
	uint64_t reads[MAX_READS];
	uint8_t context[MAX_CONTEXT], flags = 0;

	if (in_user_mode(v))
		return;
	for (uint32_t i = 0; i < plan->nreads; i++)
		reads[i] = read_reg(v, plan->reads[i]);
	for (int i = 0; i < h->nargs && plan->args[i] != NONE; i++)
		r.args[i] = read_reg(v, plan->args[i]);
	r.sp = reads[plan->sp] + ctl->bias;
	begin_walks(v, r.sp);
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
		if (ctl->windows.found)
			write_windows(v, r.sp, v->stack, r.stack_len);
	}
	for (int i = 0, n = 0; i < h->nargs; i++)
		if (plan->args[i] == NONE)
			r.args[i] = stack_word(v, &r, plan->stack_args + n++ * ctl->word_size);
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

static uint64_t exit_result(struct vcpu *v, const struct site *s)
{
	uint64_t result = 0;

	if (s->result != ZERO)
		result = read_reg(v, s->result != NONE ? s->result : plan->exit_result);
	if (s->bits)
		result = (int64_t)(result << (64 - s->bits)) >> (64 - s->bits);
	if (s->with != NONE)
		result += read_reg(v, s->with);
	result += s->add;
	return ctl->word_size == 4 ? (uint32_t)result : result;
}

void on_exit_site(unsigned cpu, void *data)
{
	const struct site *s = data;
	struct vcpu *v = vcpus[cpu];
	struct open_call call = { .hook = -1 };
	struct record r = { .hook = s->exit, .pc = s->addr };
	uint8_t flags = 0;

	if (in_user_mode(v))
		return;
	if (s->flags != NONE && !(s->taken >> (read_reg(v, s->flags) >> s->shift & 15) & 1))
		return;
	r.sp = read_reg(v, s->sp != NONE ? s->sp : plan->exit_sp) + s->pop + ctl->bias;
	if (!close_call(r.sp, &call)) {
		if (likely(!load(&ctl->overflow))) {
			ctl->vcpu[cpu].filtered++;
			return;
		}
		flags |= FLAG_ARRAY_SHORT;
	}
	r.result = exit_result(v, s);
	if (call.hook >= 0) {
		begin_walks(v, r.sp);
		r.array_len = read_array(v, call.array,
					 r.result < call.max ? r.result : call.max, &flags);
	}
	emit(cpu, &r, KIND_EXIT, flags, NULL, NULL, v->array);
}
