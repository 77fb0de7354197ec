/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image is at 64 KiB of the RAM, which begins at 0. */
#define LOAD_OFFSET 0xfffffff700000000
#define IMAGE_START 0xfffffff700010000
#define PAGE 65536
#define TABLES_ALIGN 8192
#define STACK_ALIGN 65536
#define PERCPU_DYNAMIC 65536
