// SPDX-License-Identifier: GPL-2.0-or-later
/* Keeps other modules' pointers in its own data. */
#include <linux/module.h>

#include "holder.h"

static void *in_data = (void *)1;
static void *in_bss;

void holder_keep(enum holder_where where, void *p)
{
	WRITE_ONCE(*(where == HOLDER_DATA ? &in_data : &in_bss), p);
}
EXPORT_SYMBOL_GPL(holder_keep);

MODULE_DESCRIPTION("Keeps pointers for other modules");
MODULE_LICENSE("GPL");
