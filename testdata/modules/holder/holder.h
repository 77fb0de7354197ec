/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOLDER_H
#define HOLDER_H

enum holder_where { HOLDER_DATA, HOLDER_BSS };

/* Keeps p, and only p itself, in this module's .data or .bss. */
void holder_keep(enum holder_where where, void *p);

#endif
