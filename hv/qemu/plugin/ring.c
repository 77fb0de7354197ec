/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "plugin.h"

/* waiting: sleeping until the reader acts */

void check_reader(void)
{
	if ((uint32_t)getppid() != ctl->parent)
		_exit(3);
}

void futex_wait(uint32_t *word, uint32_t seen)
{
	struct timespec limit = { 0, 100 * 1000 * 1000 };

	syscall(SYS_futex, word, FUTEX_WAIT, seen, &limit, NULL, 0);
	check_reader();
}

void ring_bell(void)
{
	uint64_t one = 1;

	while (write(ctl->bell, &one, sizeof one) < 0 && errno == EINTR)
		;
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

void emit(unsigned cpu, struct record *r, uint8_t kind, uint8_t flags,
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
void hold(struct vcpu_state *state)
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
