/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the image runs, and how far above its physical place. */
#define LOAD_OFFSET 0xffffffff80000000
#define IMAGE_START (LOAD_OFFSET + 0x200000)
#define PAGE 4096
#define TABLES_ALIGN 4096
#define STACK_ALIGN 16384
#define PERCPU_DYNAMIC 8192
