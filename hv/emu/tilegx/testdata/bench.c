/* SPDX-License-Identifier: Apache-2.0 */
/* Work of a kernel's kind: lists, hashes, copies, calls. */
int printf(const char *format, ...);

struct node {
	struct node *next;
	unsigned long key, value;
};

static struct node nodes[4096], *heads[256];
static unsigned char bytes[2][8192];

static unsigned long hash(unsigned long v)
{
	v ^= v >> 31;
	v *= 0x9e3779b97f4a7c15UL;
	return v >> 56;
}

__attribute__((noinline)) static void add(struct node *n, unsigned long key)
{
	struct node **head = &heads[hash(key)];

	n->key = key;
	n->value = key * 3;
	n->next = *head;
	*head = n;
}

__attribute__((noinline)) static unsigned long find(unsigned long key)
{
	for (struct node *n = heads[hash(key)]; n; n = n->next)
		if (n->key == key)
			return n->value;
	return 0;
}

int main(void)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < 4096; i++)
		add(&nodes[i], i * 7);
	for (int round = 0; round < 60; round++) {
		for (unsigned long i = 0; i < 4096; i++)
			sum += find(i * 7 + (i & 1));
		for (int i = 0; i < 8192; i++)
			bytes[round & 1][i] = bytes[~round & 1][8191 - i] + i;
	}
	printf("%X\n", (unsigned int)(sum + bytes[1][17]));
	return 0;
}
