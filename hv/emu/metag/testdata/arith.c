/* SPDX-License-Identifier: Apache-2.0 */
/* What Meta has no instructions for. */

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
