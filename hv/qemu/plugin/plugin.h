/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the plugin's files have in common. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api.h"
#include "shared.h"

#define load(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define add(p, v) __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define likely(x) __builtin_expect(!!(x), 1)

/* What one vCPU's thread needs. */
struct vcpu {
	GByteArray *regs, *mem;
	struct qemu_plugin_register *handles[MAX_REGS];
	struct CPUState *cpu;      /* for registers without a handle, or NULL */
	uint64_t root;     /* of the page tables, for the event at hand */
	unsigned first;    /* first level of the page tables in use */
	unsigned checked;  /* walks of the page tables compared with QEMU's */
	uint8_t stack[MAX_STACK], array[MAX_ARRAY * 8];
};

extern struct control *ctl;
extern uint8_t *ring;       /* mapped twice in a row */
extern const uint8_t *ram;  /* the memory file of guest RAM, or NULL */
extern bool walk;           /* read memory by walking the page tables */
extern const struct plan *plan; /* NULL until the reader made it */
extern struct vcpu *vcpus[MAX_VCPUS];

/* ring.c: waiting for the reader, and telling it */
void check_reader(void);
void futex_wait(uint32_t *word, uint32_t seen);
void ring_bell(void);
void emit(unsigned cpu, struct record *r, uint8_t kind, uint8_t flags,
	  const uint8_t *context, const uint8_t *stack, const uint8_t *array);
void hold(struct vcpu_state *state);

/* memory.c: registers and memory of the guest */
uint64_t number(const uint8_t *p, unsigned size);
uint64_t read_reg(struct vcpu *v, unsigned reg);
bool holds(struct match m, uint64_t v);
void begin_walks(struct vcpu *v, uint64_t sp);
unsigned read_memory(struct vcpu *v, uint64_t addr, uint8_t *to, unsigned n);
void fetch_context(struct vcpu *v, const uint64_t *reads, uint8_t *context);

/* adopt.c: RAM that QEMU allocated; these return an error number */
int start_thread(void *(*run)(void *));
int wait_for_adoption(void);

/* windows.c: register windows, if ctl->windows.state says that there are some */
bool exported(const char *symbol);
bool find_windows(void);
void write_windows(const struct vcpu *v, uint64_t sp, uint8_t *stack, unsigned len);
int answer_for_windows(void);
bool takes_window(const struct qemu_plugin_insn *insn);
void on_entry_with_window(unsigned cpu, void *site);

/* hooks.c: what happens when a hook is passed */
bool init_hooks(void);
void on_entry(unsigned cpu, void *site);
void on_exit_site(unsigned cpu, void *site);
