/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "link.h"

/* Where the entry runs: mostly at its physical address. */
#ifndef ENTRY_OFFSET
#define ENTRY_OFFSET LOAD_OFFSET
#endif

ENTRY(phys_entry)

PHDRS
{
	text PT_LOAD FLAGS(5);
	data PT_LOAD FLAGS(6);
	note PT_NOTE FLAGS(4);
}

SECTIONS
{
	. = IMAGE_START;
	_text = .;
	_stext = .;
	.text : AT(ADDR(.text) - LOAD_OFFSET) { *(.head.text) *(.text .text.*) } :text
	_etext = .;

	. = ALIGN(PAGE);
	.rodata : AT(ADDR(.rodata) - LOAD_OFFSET) { *(.rodata .rodata.*) } :data
	.notes : AT(ADDR(.notes) - LOAD_OFFSET) {
		__start_notes = .;
		*(.note.*)
		__stop_notes = .;
	} :data :note

	/* The CPUs have copies of it; nobody looks here any more. */
	. = ALIGN(PAGE);
	.data..percpu : AT(ADDR(.data..percpu) - LOAD_OFFSET) {
		__per_cpu_start = .;
		*(.data..percpu)
		. = ALIGN(PAGE);
		__per_cpu_end = .;
		/* What is allocated has its pointers here. */
		. += PERCPU_DYNAMIC;
	} :data

	. = ALIGN(TABLES_ALIGN);
	_sdata = .;
	.data : AT(ADDR(.data) - LOAD_OFFSET) {
		*(.data..tables)
		. = ALIGN(STACK_ALIGN);
		__start_init_stack = .;
		*(.data..init_stack)
		__end_init_stack = .;
		*(.data .data.* .sdata)
	} :data
	_edata = .;

	. = ALIGN(16);
	__bss_start = .;
	.bss : AT(ADDR(.bss) - LOAD_OFFSET) { *(.bss .bss.* .sbss COMMON) } :data
	. = ALIGN(8);
	__bss_stop = .;
	_end = .;

	phys_entry = _start - ENTRY_OFFSET;

	/DISCARD/ : { *(.comment .eh_frame .note.GNU-stack .note.gnu.property .interp .dynamic) }
}
