/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of a program without a kernel: addresses are physical, the stack grows up. */
	.text
	.global	__start
	.type	__start, function
__start:
	MOV	A0FrP, #0
	MOVT	A0StP, #HI(_stack)
	ADD	A0StP, A0StP, #LO(_stack)
	CALLR	D1RtP, _main
	CALLR	D1RtP, _finish
	.size	__start, . - __start
	.bss
	.balign 8
_stack:
	.space 0x100000
