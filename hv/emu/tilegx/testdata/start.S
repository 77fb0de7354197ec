/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of a program without a kernel: RAM is at 0, addresses are physical. */
	.text
	.globl	_start
_start:
	moveli	sp, hw1_last(STACK)
	shl16insli sp, sp, hw0(STACK)
	addi	sp, sp, -16
	move	r0, zero
	jal	main
	jal	finish
