/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test guest does. The command line is a letter, what to do at the
 * end (p power off, r reset, t triple fault, l loop for ever, h halt), the
 * number of CPUs (1 digit) and the number of rounds (decimal).
 */
#include <stdint.h>

uint64_t fn_plain(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
uint64_t fn_outer(uint64_t), fn_fill(uint64_t, uint64_t *);
void fn_bare(void), fn_stack(void), fn_triple(void);
void fn_sync(volatile uint64_t *counters);

extern uint32_t start_info;
extern char trampoline[], trampoline_end[];
extern volatile uint32_t cpus_started;

/* gs points here, as in Linux's per-CPU areas. */
struct cpu {
	uint64_t id;
	struct task { uint64_t pid; char name[16]; } *task;
} cpus[16];
static struct task tasks[16];

volatile uint64_t counters[16][2]; /* of fn_sync, for each CPU */
volatile uint32_t finished;
static uint64_t words[16][8];

static void outb(uint16_t port, uint8_t v) { asm volatile("outb %0,%1" :: "a"(v), "Nd"(port)); }
static void outw(uint16_t port, uint16_t v) { asm volatile("outw %0,%1" :: "a"(v), "Nd"(port)); }

static void wrmsr(uint32_t msr, uint64_t v)
{
	asm volatile("wrmsr" :: "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static void print(const char *s)
{
	for (; *s; s++)
		outb(0x3f8, *s);
}

static void start_others(unsigned n)
{
	volatile uint32_t *icr = (volatile uint32_t *)0xfee00300;
	char *to = (char *)0x8000;

	for (char *p = trampoline; p < trampoline_end; p++)
		*to++ = *p;
	*(volatile uint32_t *)0xfee000f0 = 0x1ff; /* local APIC on */
	*icr = 0xc4500; /* INIT to all others */
	for (volatile int i = 0; i < 1000000; i++)
		;
	*icr = 0xc4608; /* start-up at 0x8000 */
	while (cpus_started < n)
		asm volatile("pause");
}

static void finish(char how)
{
	print("guest done\n");
	switch (how) {
	case 'p':
		outw(0x604, 0x2000); /* PIIX4 power management: S5 */
		break;
	case 'r':
		outb(0x64, 0xfe); /* keyboard controller: reset */
		break;
	case 't':
		fn_triple();
	}
	for (;;)
		asm volatile("hlt");
}

void guest_main(unsigned id)
{
	const char *arg = (const char *)*(uint64_t *)((uint64_t)start_info + 24);
	char how = arg[0];
	unsigned n = arg[1] - '0';
	uint64_t rounds = 0;
	static const char names[] = "worker-";

	for (const char *p = arg + 2; *p >= '0' && *p <= '9'; p++)
		rounds = rounds * 10 + *p - '0';
	cpus[id].id = id;
	cpus[id].task = &tasks[id];
	tasks[id].pid = 100 + id;
	for (int i = 0; i < 7; i++)
		tasks[id].name[i] = names[i];
	tasks[id].name[7] = 'a' + id;
	wrmsr(0xc0000101, (uint64_t)&cpus[id]);

	if (id == 0) {
		print("guest up\n");
		if (n > 1)
			start_others(n);
	}
	for (uint64_t i = 0; how == 'l' || i < rounds; i++) {
		fn_plain(i, 2, 3, 4, 5, 6);
		fn_outer(i);
		fn_bare();
		fn_fill(8, words[id]);
		fn_stack();
		fn_sync(counters[id]);
	}
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	if (id == 0) {
		while (finished < n)
			asm volatile("pause");
		finish(how);
	}
}
