// SPDX-License-Identifier: Apache-2.0
	.text
	.globl _text, _stext
	.balign 16
_text:
_stext:
	.globl asm_label
asm_label:
	.fill 24, 1, 1
	.globl asm_inside
asm_inside:
	.fill 8, 1, 1
	.balign 64
	.globl sized
	.type sized, %function
sized:
	.fill 5, 1, 1
	.size sized, . - sized
	.globl __sized
	.set __sized, sized
	.balign 64
