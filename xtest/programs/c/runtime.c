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
int printf(const char *format, unsigned long first, unsigned long second)
{
	unsigned long args[] = {first, second}, *next = args;

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
