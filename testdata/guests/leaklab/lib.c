// SPDX-License-Identifier: GPL-2.0-or-later
#include "types.h"
#include "mm.h"

/* By words where it can be: some machines that run this are slow. */
void *memset(void *p, int c, size_t n)
{
	unsigned long word = (u8)c * (~0UL / 255), *w = p;
	u8 *b;

	if (((unsigned long)p & (sizeof(word) - 1)) == 0)
		for (; n >= sizeof(word); n -= sizeof(word))
			*w++ = word;
	for (b = (u8 *)w; n; n--)
		*b++ = c;
	return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
	const u8 *f = from;

	for (u8 *b = to; n--;)
		*b++ = *f++;
	return to;
}

noinline void print(const char *s)
{
	arch_write(s);
}

noinline void print_hex(unsigned long v)
{
	char text[2 * sizeof(v) + 1];
	char *p = text + sizeof(text) - 1;

	*p = 0;
	do {
		*--p = "0123456789abcdef"[v & 15];
	} while (v >>= 4);
	print(p);
}

/* A processor need not be able to divide. */
noinline void print_dec(unsigned long v)
{
	static const unsigned long powers[] = {
		1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000,
		100, 10, 1,
	};
	char text[ARRAY_SIZE(powers) + 1];
	char *p = text;

	for (unsigned int i = 0; i < ARRAY_SIZE(powers); i++) {
		char digit = '0';

		for (; v >= powers[i]; v -= powers[i])
			digit++;
		if (digit > '0' || p > text || powers[i] == 1)
			*p++ = digit;
	}
	*p = 0;
	print(text);
}

/* Under this name the kernel's end by an error is known. */
noinline void __noreturn panic(const char *why)
{
	print("Kernel panic: ");
	print(why);
	print("\n");
	for (;;)
		arch_power_off();
}
