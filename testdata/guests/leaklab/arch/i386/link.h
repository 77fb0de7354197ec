/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image is in the direct map, at 2 MiB. */
#define LOAD_OFFSET 0xc0000000
#define IMAGE_START 0xc0200000
#define PAGE 4096
#define TABLES_ALIGN 4096
#define STACK_ALIGN 8192
#define PERCPU_DYNAMIC 8192
