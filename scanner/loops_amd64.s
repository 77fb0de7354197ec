#include "textflag.h"
#include "go_asm.h"

#define LOAD64LE MOVQ (SI)(AX*1), AX
#define LOAD64BE MOVQ (SI)(AX*1), AX; BSWAPQ AX
#define LOAD32LE MOVL (SI)(AX*1), AX
#define LOAD32BE MOVL (SI)(AX*1), AX; BSWAPL AX

// SET is the body.
#define SET(LOAD) \
	MOVQ marks_base+0(FP), R8; \
	MOVQ x+24(FP), R10; \
	MOVQ Index_shift(R10), CX; \
	MOVQ Index_factor(R10), R13; \
	MOVQ Index_table(R10), R10; \
	MOVQ b_base+32(FP), SI; \
	MOVQ offs_base+56(FP), R11; \
	MOVQ offs_len+64(FP), R12; \
	MOVQ units+80(FP), R9; \
	XORQ BX, BX; \
	JMP check; \
next: \
	MOVL (R11)(BX*4), AX; \
	LOAD; \
	MOVQ AX, DX; \
	SHRQ $const_chunkShift, DX; \
	MOVQ DX, DI; \
	IMULQ R13, DI; \
	SHRXQ CX, DI, DI; \
	SHLQ $4, DI; \
	CMPQ chunk_key(R10)(DI*1), DX; \
	JNE done; \
	MOVQ chunk_units(R10)(DI*1), DX; \
	ANDL $((1<<const_chunkShift)-1), AX; \
	SHRXQ DX, AX, AX; \
	SHRQ $6, DX; \
	ADDQ DX, AX; \
	MOVQ AX, (R9)(BX*8); \
	SHRQ $const_unitBits, AX; \
	PREFETCHT0 (R8)(AX*8); \
	INCQ BX; \
check: \
	CMPQ BX, R12; \
	JB next; \
done: \
	XORQ DI, DI; \
	JMP checkMark; \
mark: \
	MOVQ (R9)(DI*8), AX; \
	MOVQ AX, DX; \
	SHRQ $const_unitBits, DX; \
	MOVQ (R8)(DX*8), R15; \
	BTSQ AX, R15; \
	MOVQ R15, (R8)(DX*8); \
	INCQ DI; \
checkMark: \
	CMPQ DI, BX; \
	JB mark; \
	MOVQ BX, ret+88(FP); \
	RET

// func bmiSet64LE(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int
TEXT ·bmiSet64LE(SB), NOSPLIT, $0-96
	SET(LOAD64LE)

// func bmiSet64BE(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int
TEXT ·bmiSet64BE(SB), NOSPLIT, $0-96
	SET(LOAD64BE)

// func bmiSet32LE(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int
TEXT ·bmiSet32LE(SB), NOSPLIT, $0-96
	SET(LOAD32LE)

// func bmiSet32BE(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int
TEXT ·bmiSet32BE(SB), NOSPLIT, $0-96
	SET(LOAD32BE)

// func bmiSift(states []state, x *Index, c *chunk, at uint32, to, offs []uint32, others *[siftWords]uint32) (n, rest int)
TEXT ·bmiSift(SB), NOSPLIT, $16-120
	MOVQ states_base+0(FP), R10
	MOVQ x+24(FP), AX
	MOVQ Index_granules(AX), R8
	MOVQ Index_gaps(AX), R9
	MOVQ c+32(FP), AX
	MOVQ chunk_units(AX), CX
	MOVQ CX, AX
	SHRQ $6, AX
	MOVQ AX, first-16(SP)
	MOVLQSX at+40(FP), R14
	MOVQ to_base+48(FP), DI
	MOVQ offs_base+72(FP), SI
	MOVQ offs_len+80(FP), AX
	LEAQ (SI)(AX*4), AX
	MOVQ AX, end-8(SP)
	MOVQ others+96(FP), R15
	XORQ R12, R12
	XORQ R13, R13
	JMP check
next:
	MOVL (SI), DX
	LEAQ (R14)(DX*1), AX
	SHRXQ CX, AX, AX
	ADDQ first-16(SP), AX
	MOVQ AX, BX
	SHRQ $const_unitBits, BX
	SHLQ $4, BX
	NOTL AX
	SHLXQ AX, granule_starts(R8)(BX*1), AX
	POPCNTQ AX, AX
	ADDL granule_before(R8)(BX*1), AX
	DECL AX
	JS other
	MOVL AX, BX
	SHRL $6, BX
	MOVQ (R9)(BX*8), R11
	SHLQ $4, BX
	ANDNQ state_reached(R10)(BX*1), R11, R11
	SHRXQ AX, R11, R11
	ANDL $1, R11
	MOVL DX, (DI)(R12*4)
	ADDQ R11, R12
	XORL $1, R11
	MOVL DX, (R15)(R13*4)
	ADDQ R11, R13
	ADDQ $4, SI
check:
	CMPQ SI, end-8(SP)
	JB next
	MOVQ R12, n+104(FP)
	MOVQ R13, rest+112(FP)
	RET
other:
	MOVL DX, (R15)(R13*4)
	INCQ R13
	ADDQ $4, SI
	JMP check

// The units of a span are a run of bits. What is marked of them is carried to the
// last of them by an addition, and these bits are collected: one for each span.
//
// func bmiSpread(granules []granule, marks, found []uint64, base uint32)
TEXT ·bmiSpread(SB), NOSPLIT, $0-76
	MOVQ granules_base+0(FP), SI
	MOVQ granules_len+8(FP), R9
	MOVQ marks_base+24(FP), R8
	MOVQ found_base+48(FP), R10
	MOVQ found_len+56(FP), R11
	DECQ R11
	SHLQ $6, R11
	MOVL base+72(FP), R12
	XORQ BX, BX
	JMP check
next:
	MOVQ (R8)(BX*8), AX
	TESTQ AX, AX
	JZ skip
	MOVQ BX, DI
	SHLQ $4, DI
	MOVQ granule_starts(SI)(DI*1), DX
	MOVL DX, CX
	ANDL $1, CX
	ADDL granule_before(SI)(DI*1), CX
	DECL CX
	SUBL R12, CX
	CMPL CX, R11
	JAE skip
	SHRQ $1, DX
	BTSQ $63, DX // the last unit of each span
	ANDNQ AX, DX, R13
	MOVQ DX, R14
	NOTQ R14
	ADDQ R13, R14
	ORQ AX, R14
	PEXTQ DX, R14, R14
	SHLXQ CX, R14, R13
	SHRQ $1, R14
	MOVL CX, R15
	NOTL R15
	SHRXQ R15, R14, R14
	SHRL $6, CX
	ORQ R13, (R10)(CX*8)
	ORQ R14, 8(R10)(CX*8)
skip:
	INCQ BX
check:
	CMPQ BX, R9
	JB next
	RET
