/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image is in the direct map of the RAM, which begins at 256 MiB. */
#define LOAD_OFFSET 0x30000000
#define IMAGE_START 0x40000000
#define PAGE 4096
#define TABLES_ALIGN 4096
#define STACK_ALIGN 8192
#define PERCPU_DYNAMIC 8192

/* Names of C have an underscore more in assembly, and so in the linker's script. */
#ifdef __ASSEMBLER__
#define _start __start
#define _text __text
#define _stext __stext
#define _etext __etext
#define __start_notes ___start_notes
#define __stop_notes ___stop_notes
#define __per_cpu_start ___per_cpu_start
#define __per_cpu_end ___per_cpu_end
#define _sdata __sdata
#define __start_init_stack ___start_init_stack
#define __end_init_stack ___end_init_stack
#define _edata __edata
#define __bss_start ___bss_start
#define __bss_stop ___bss_stop
#define _end __end
#endif
