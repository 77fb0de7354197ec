/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses are physical, as far as memory goes. */
#define LOAD_OFFSET 0
#define IMAGE_START 0x100000
#define PAGE 4096
#define TABLES_ALIGN 16384
#define STACK_ALIGN 16384
#define PERCPU_DYNAMIC 8192
