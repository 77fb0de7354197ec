/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image is at 2 MiB of the RAM, which begins at 1 GiB. */
#define LOAD_OFFSET (0xffff800000000000 - 0x40000000)
#define IMAGE_START 0xffff800000200000
#define PAGE 4096
#define TABLES_ALIGN 4096
#define STACK_ALIGN 16384
#define PERCPU_DYNAMIC 8192
