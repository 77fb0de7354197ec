/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register windows. What a function's callers had in registers is in the CPU,
 * not in their frames, until the CPU runs out of windows. Neither the plugin
 * API nor GDB's register numbers show it, but the description by which QEMU
 * saves a CPU's state says where it is. That is no part of the API; a QEMU may
 * lack it, or have it in another form, so that nothing of it is believed
 * without having been checked, and what is found is compared at each event with
 * a register that is had otherwise.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "plugin.h"

#define REGISTERS 8 /* that a window passes on, and as many of its own */
#define SP 6        /* of those */
#define MAX_FIELDS 256

/* VMStateDescription and VMStateField of QEMU 9.0 to 10.0, as far as needed
 * (include/migration/vmstate.h). */
struct field {
	const char *name, *err_hint;
	size_t offset, size, start;
	int num;
	size_t num_offset, size_offset;
	const void *info;
	int flags;
	const void *vmsd;
	int version_id, struct_version_id;
	const void *field_exists;
};

struct description {
	const char *name;
	bool unmigratable, early_setup;
	int version_id, minimum_version_id, priority;
	const void *calls[6];
	const struct field *fields;
};

static size_t file, count, current, callers, spare, clean, level, traps, globals; /* offsets in the CPU's state */

/* Copies from any address; it is no crash if nothing is there. */
static bool copy(void *to, const void *from, size_t n)
{
	struct iovec local = { to, n }, remote = { (void *)from, n };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n;
}

/* Finds a field by its name. */
static bool field_of(const void *description, const char *name, struct field *field)
{
	size_t want = strlen(name) + 1;
	struct description d;
	char found[sizeof ctl->windows.file];

	if (!copy(&d, description, sizeof d))
		return false;
	for (int i = 0; i < MAX_FIELDS; i++) {
		if (!copy(field, d.fields + i, sizeof *field) || !field->name)
			return false;
		if (copy(found, field->name, want) && !memcmp(found, name, want))
			return field->offset < 1 << 20;
	}
	return false;
}

/* Finds one that consists of words of a size. */
static bool find(const void *description, const char *name, size_t size, size_t *offset)
{
	struct field field;

	if (!field_of(description, name, &field))
		return false;
	*offset = field.offset;
	return field.size == size;
}

/* What the CPU keeps of traps is an array by level, which is one in the first. */
static bool find_traps(const void *description)
{
	const struct windows *w = &ctl->windows;
	struct field field;
	size_t state;

	if (!field_of(description, w->traps, &field) ||
	    !find(field.vmsd, w->trap_state, sizeof(uint64_t), &state))
		return false;
	traps = field.offset + field.size + state;
	return true;
}

bool exported(const char *symbol) { return dlsym(RTLD_DEFAULT, symbol); }

bool find_windows(void)
{
	struct windows *w = &ctl->windows;
	const void *state = dlsym(RTLD_DEFAULT, w->state);

	return state &&
	       find(state, w->file, ctl->word_size, &file) &&
	       find(state, w->count, sizeof(uint32_t), &count) &&
	       find(state, w->current, sizeof(uint32_t), &current) &&
	       find(state, w->callers, sizeof(uint32_t), &callers) &&
	       find(state, w->spare, sizeof(uint32_t), &spare) &&
	       find(state, w->clean, sizeof(uint32_t), &clean) &&
	       find(state, w->level, sizeof(uint32_t), &level) &&
	       find(state, w->globals, ctl->word_size, &globals) &&
	       find_traps(state);
}

static uint32_t number_at(const struct vcpu *v, size_t offset)
{
	return *(const uint32_t *)((const uint8_t *)v->cpu + offset);
}

static void put(uint8_t *to, const uint8_t *from, unsigned words)
{
	unsigned size = ctl->word_size;

	for (unsigned i = 0; i < words * size; i++)
		to[i] = from[i / size * size + (ctl->big_endian ? size - 1 - i % size : i % size)];
}

static uint64_t word_at(const uint8_t *at, unsigned i)
{
	return ctl->word_size == 8 ? ((const uint64_t *)at)[i] : ((const uint32_t *)at)[i];
}

/* A window: what it passes on, what it has of its own, and what it was passed. */
struct window { const uint8_t *out, *own, *in; };

/* Finds the nth caller's window, the present one being the first; false if
 * there is none. Those of the last window's registers that are the first one's
 * too lie behind it while it is the present one. */
static bool window_of(const struct vcpu *v, unsigned nth, struct window *w)
{
	size_t half = (size_t)REGISTERS * ctl->word_size;
	const uint8_t *base = (const uint8_t *)v->cpu + file, *first;
	uint32_t n = number_at(v, count), now = number_at(v, current), older = number_at(v, callers);

	if (n < 3 || n > MAX_WINDOWS || now >= n || older >= n || nth > older)
		return false;
	first = now == n - 1 ? base + n * 2 * half : base;
	if (number_at(v, level)) /* which the trap came from */
		now = n - 1 - (*(const uint64_t *)((const uint8_t *)v->cpu + traps) & 31) % n;
	now = (now + nth) % n;
	w->out = now ? base + now * 2 * half : first;
	w->own = base + (now * 2 + 1) * half;
	w->in = now == n - 1 ? first : base + (now + 1) * 2 * half;
	return true;
}

/* Fills frame with what that window is to have in memory. */
static bool frame_of(const struct vcpu *v, unsigned nth, struct frame *frame)
{
	struct window w;

	if (!window_of(v, nth, &w))
		return false;
	frame->addr = word_at(w.out, SP) + ctl->bias;
	put(frame->saved, w.own, REGISTERS);
	put(frame->saved + REGISTERS * ctl->word_size, w.in, REGISTERS);
	return true;
}

bool takes_window(const struct qemu_plugin_insn *insn)
{
	uint8_t code[4];

	return ctl->windows.found && qemu_plugin_insn_data(insn, code, sizeof code) == sizeof code &&
	       holds(ctl->windows.take, number(code, sizeof code));
}

/* The instruction traps if it cannot have a window, and comes again. */
void on_entry_with_window(unsigned cpu, void *site)
{
	const struct vcpu *v = vcpus[cpu];

	if (number_at(v, spare) && number_at(v, clean) != number_at(v, callers))
		on_entry(cpu, site);
}

/* Makes a copy of the stack from sp up what it would be with all windows
 * written. */
void write_windows(const struct vcpu *v, uint64_t sp, uint8_t *stack, unsigned len)
{
	unsigned size = 2 * REGISTERS * ctl->word_size;
	struct frame frame;

	for (unsigned i = 0; frame_of(v, i, &frame); i++) {
		uint64_t at = frame.addr - sp;
		if (i == 0 && at && !number_at(v, level))
			store(&ctl->windows.wrong, 1);
		if (at < len)
			memcpy(stack + at, frame.saved, len - at < size ? len - at : size);
	}
}

/* Answers the reader while the machine is stopped. */
static void *answer(void *unused)
{
	struct windows *w = &ctl->windows;
	(void)unused;

	for (;;) {
		uint32_t seen = load(&w->ask);
		if (seen != ASK_NOW) {
			futex_wait(&w->ask, seen);
			continue;
		}
		struct vcpu *v = w->vcpu < MAX_VCPUS ? vcpus[w->vcpu] : NULL;
		struct window now;
		w->nframes = 0;
		while (v && w->nframes < MAX_WINDOWS && frame_of(v, w->nframes, &w->frames[w->nframes]))
			w->nframes++;
		for (int i = 0; w->nframes && i < REGISTERS; i++) {
			w->others[i] = word_at((const uint8_t *)v->cpu + globals, i);
			w->passed[i] = window_of(v, 0, &now) ? word_at(now.out, i) : 0;
		}
		store(&w->ask, ASK_DONE);
	}
	return NULL;
}

int answer_for_windows(void) { return start_thread(answer); }
