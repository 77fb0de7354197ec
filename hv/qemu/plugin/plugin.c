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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

struct control *ctl;
uint8_t *ring;
const uint8_t *ram;
const struct plan *plan;
struct vcpu *vcpus[MAX_VCPUS];

/* translation */

/* The first kernel text: tells the reader, which answers with the plan, or
 * that this is not the kernel yet. */
static void enter_kernel(uint64_t pc)
{
	uint32_t boot, refused;
	bool mine;
again:
	boot = PHASE_BOOT;
	refused = load(&ctl->refused);
	mine = __atomic_compare_exchange_n(&ctl->phase, &boot, PHASE_ENTERING, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	if (mine) {
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
		if (load(&ctl->refused) != refused) {
			if (mine)
				return;
			goto again; /* the answer was to another vCPU */
		}
		futex_wait(&ctl->wakes, seen);
	}
	const struct plan *p = (const struct plan *)((uint8_t *)ctl + ctl->plan_offset);
	if (!plan && ram)
		walk = p->paging.nlevels > 0 || p->paging.nlinear > 0;
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

	if (pc < ctl->text || (!plan && pc >= ctl->text_end))
		return;
	if (!plan)
		enter_kernel(pc);
	if (!plan || !plan->nsites)
		return;
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t addr = qemu_plugin_insn_vaddr(insn);
		const struct site *s;

		if (addr < plan->low || addr > plan->high || !(s = find_site(addr)))
			continue;
		if (s->entry >= 0)
			qemu_plugin_register_vcpu_insn_exec_cb(insn,
				takes_window(insn) ? on_entry_with_window : on_entry,
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
	if (gdb_read_register && qemu_get_cpu)
		v->cpu = qemu_get_cpu(cpu);
	ctl->by_number = v->cpu != NULL;
	if (!v->cpu)
		ctl->windows.found = 0;
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
		if (v->handles[i] || (v->cpu && ctl->numbers[i] >= 0))
			continue;
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
		if (!strncmp(argv[i], "probe=", 6)) {
			/* Only asked for the API's version, and for a symbol. */
			fprintf(stderr, "leakvisor plugin: api %d to %d%s%s\n",
				info->version.min, info->version.cur,
				gdb_read_register && qemu_get_cpu ? ", registers by number" : "",
				exported(argv[i] + 6) ? ", CPU state" : "");
			return 1;
		}
		if (!strncmp(argv[i], "shared=", 7) && map_shared(atoi(argv[i] + 7)))
			return 1;
	}
	if (!ctl)
		return fail("no shared memory was given");
	if (!init_hooks())
		return fail("table of open calls");
	check_reader();
	if (ctl->windows.state[0])
		ctl->windows.found = find_windows();
	if ((ctl->adopt == ADOPT_READY && (errno = wait_for_adoption())) ||
	    (ctl->windows.found && (errno = answer_for_windows())))
		return fail("starting a thread");
	qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
