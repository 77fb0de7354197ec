/* SPDX-License-Identifier: Apache-2.0 */
/* What csmith's programs want of a C library, on hv/emu's devices. */
typedef __SIZE_TYPE__ size_t;

#define DEVICE(offset) (*(volatile unsigned long *)(0xf0000000UL + (offset)))

void finish(void)
{
	DEVICE(0x18) = 0;
}

int putchar(int c)
{
	DEVICE(0) = c;
	return c;
}

/* All that is printed is a string or a 32-bit number in hexadecimal, one or two
   of them, which are in a call's registers. */
int printf(const char *format, unsigned int first, unsigned int second)
{
	unsigned int args[] = {first, second}, *next = args;

	for (; *format; format++) {
		if (*format != '%') {
			putchar(*format);
			continue;
		}
		if (*++format == 's') {
			for (const char *s = (const char *)*next++; *s; s++)
				putchar(*s);
			continue;
		}
		unsigned int v = *next++;
		int shift = 28;
		while (shift > 0 && v >> shift == 0)
			shift -= 4;
		for (; shift >= 0; shift -= 4)
			putchar("0123456789ABCDEF"[v >> shift & 15]);
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

void *memcpy(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int c, size_t n)
{
	char *t = to;
	while (n--)
		*t++ = c;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;
	if (t <= f)
		return memcpy(to, from, n);
	while (n--)
		t[n] = f[n];
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void abort(void)
{
	DEVICE(0x18) = 2;
	for (;;)
		;
}

/* A call, so that GCC does not divide by a constant with a product's high half. */
int __mulsi3(int a, int b)
{
	return a * b;
}

/* Division, of which Meta has no instruction. */
static unsigned int divide(unsigned int a, unsigned int b, unsigned int *rest)
{
	unsigned int q = 0, r = 0;

	for (int i = 31; i >= 0; i--) {
		unsigned int top = r >> 31;

		r = r << 1 | (a >> i & 1);
		if (top || r >= b) {
			r -= b;
			q |= 1U << i;
		}
	}
	*rest = r;
	return q;
}

static unsigned int magnitude(int n)
{
	return n < 0 ? -(unsigned int)n : n;
}

unsigned int __udivsi3(unsigned int a, unsigned int b)
{
	unsigned int rest;

	return divide(a, b, &rest);
}

unsigned int __umodsi3(unsigned int a, unsigned int b)
{
	unsigned int rest;

	divide(a, b, &rest);
	return rest;
}

int __divsi3(int a, int b)
{
	unsigned int q = __udivsi3(magnitude(a), magnitude(b));

	return (a ^ b) < 0 ? -q : q;
}

int __modsi3(int a, int b)
{
	unsigned int rest = __umodsi3(magnitude(a), magnitude(b));

	return a < 0 ? -rest : rest;
}
