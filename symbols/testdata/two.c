// SPDX-License-Identifier: Apache-2.0
struct twin {
	long a, b, only_two_c;
};

enum { ONLY_TWO = 17 };

struct only_two {
	struct twin twin;
	int last;
};

struct only_two only_two;
static int local_twice;

__attribute__((noinline)) static int dup(int x)
{
	local_twice -= x;
	return x + 2;
}

static int pair(int x) __asm__("pair.part.0");

__attribute__((noinline)) static int pair(int x)
{
	local_twice ^= x;
	return x + 9;
}

int second(struct twin *t)
{
	return (int)t->a + dup((int)t->b) + pair((int)t->only_two_c) + ONLY_TWO;
}
