/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image is in KSEG0, at 2 MiB, and is entered there. */
#define LOAD_OFFSET 0x80000000
#define IMAGE_START 0x80200000
#define ENTRY_OFFSET 0
#define PAGE 4096
#define TABLES_ALIGN 4096
#define STACK_ALIGN 8192
#define PERCPU_DYNAMIC 8192
