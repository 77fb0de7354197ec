/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest.h"

/* What the tests read and write. */
struct object {
	struct object *next;
	u64 tag;
};

struct object *kept;		/* reachable objects */
void *ring_of_two;		/* stays zero: two objects point at each other only */
u64 orphans[64];		/* addresses of leaked objects, each plus one */
u64 norphans;
volatile u64 ticks, go_on, second_done, second_start;
u64 cycles, calls;
void *bulk[8];
u8 scratch[64 * 4096] __attribute__((aligned(4096)));
char command[64];

static void print(const char *s)
{
	while (*s)
		outb(0x3f8, *s++);
}

noinline void kernel_power_off(void)
{
	print("bye\n");
	outw(0x604, 5 << 10 | 1 << 13);
}

noinline void emergency_restart(void) { outb(0xcf9, 6); }

/* checkpoint is where the tests stop the guest: six arguments to compare. */
noinline u64 checkpoint(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	asm volatile("" : : : "memory");
	return a ^ b ^ c ^ d ^ e ^ f;
}

noinline void *level3(u64 size)
{
	struct object *o = __kmalloc(size, 1);

	if (o)
		o->tag = size;
	return o;
}

noinline void *level2(u64 size)
{
	volatile u64 mark = 0x1122334455667788;
	void *p = level3(size);

	(void)mark;
	return p;
}

noinline void *level1(u64 size)
{
	void *p = level2(size + 1);

	asm volatile("" : : : "memory");
	return p;
}

/* churn allocates and frees, keeps some and loses some. */
static void churn(u64 rounds, u64 cpu, struct object **head, u64 *lost, u64 *nlost)
{
	for (u64 i = 0; i < rounds; i++) {
		struct object *o = level1(32 + i % 64);

		switch (i % 4) {
		case 0:
			o->next = *head;
			*head = o;
			break;
		case 1:
			if (*nlost < 16) {
				lost[(*nlost)++] = (u64)o + 1;
				o->next = 0;
				break;
			}
			/* fall through */
		default:
			kfree(o);
		}
		o = 0;
	}
}

static u64 second_lost[64], second_nlost;
struct object *second_kept;

noinline void start_secondary(void)
{
	while (!second_start)
		cpu_relax();
	churn(200, 1, &second_kept, second_lost, &second_nlost);
	second_done = 1;
	for (;;)
		asm volatile("hlt");
}

/* bench times pairs of calls. */
static void bench(u64 n, int hooked)
{
	u64 t = rdtsc();

	for (u64 i = 0; i < n; i++) {
		if (hooked)
			kfree(__kmalloc(64, 0));
		else
			plain_free(plain_alloc(64, 0));
	}
	cycles = rdtsc() - t;
	calls = 2 * n;
}

noinline void spin(void)
{
	while (!go_on)
		ticks++;
}

/*
 * patch_returns does what Linux's apply_returns does: each jump from kfree to
 * the return thunk must be there, and becomes a return. Counts what it found
 * otherwise.
 */
u64 patched, surprises;

noinline void patch_returns(void)
{
	u8 *p = (u8 *)kfree, thunk[5] = { 0xe9 };

	for (; p + 5 <= (u8 *)kfree_end; p++) {
		*(int *)(thunk + 1) = (u8 *)__x86_return_thunk - (p + 5);
		for (int i = 0;; i++) {
			if (i == 5) {
				*p = 0xc3;
				for (i = 1; i < 5; i++)
					p[i] = 0xcc;
				patched++;
				break;
			}
			if (p[i] != thunk[i])
				break;
		}
	}
	if (*(u8 *)kfree != 0x0f)
		surprises++;
}

static u64 number(const char *s)
{
	u64 n = 0;

	while (*s >= '0' && *s <= '9')
		n = n * 10 + *s++ - '0';
	return n;
}

noinline void start_kernel(u8 *params)
{
	const char *from = (const char *)0xffffffff80000000 + *(u32 *)(params + 0x228);
	u64 i;

	for (i = 0; i < sizeof(command) - 1 && from[i]; i++)
		command[i] = from[i];
	print("hello\n");
	switch (command[0]) {
	case 'c': /* churn, on one CPU */
		churn(100, 0, &kept, orphans, &norphans);
		break;
	case '2': /* churn, on two */
		second_start = 1;
		churn(200, 0, &kept, orphans, &norphans);
		while (!second_done)
			cpu_relax();
		for (i = 0; i < second_nlost; i++)
			orphans[norphans++] = second_lost[i];
		break;
	case 'k': /* bulk calls */
		kmem_cache_alloc_bulk(0, 0, 8, bulk);
		kmem_cache_free_bulk(0, 3, bulk);
		break;
	case 's': /* run until told to stop */
		spin();
		break;
	case 'a': /* rewrite the text of kfree */
		churn(100, 0, &kept, orphans, &norphans);
		patch_returns();
		/* Time for an overwritten hook to be noticed. */
		checkpoint(0, 0, 0, 0, 0, 0);
		churn(100, 0, &kept, orphans, &norphans);
		break;
	case 'd': /* write 10 pages */
		checkpoint(0, 0, 0, 0, 0, 0);
		for (i = 0; i < 10; i++)
			*(volatile u8 *)&scratch[(2 * i + 1) * 4096] = 1;
		break;
	case 'p': /* a plain loop of calls, for timing */
		bench(number(command + 1), 0);
		break;
	case 'h': /* the same, hooked */
		bench(number(command + 1), 1);
		break;
	case 'f': /* instructions to be stepped, between calls */
		for (i = 0; i < 20; i++) {
			flags_twice();
			kfree(__kmalloc(64, 0));
		}
		break;
	case 't':
		triple_fault();
		break;
	case 'r':
		emergency_restart();
		break;
	}
	checkpoint(0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666);
	kernel_power_off();
}
