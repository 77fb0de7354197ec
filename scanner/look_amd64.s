#include "textflag.h"
#include "go_asm.h"

#define LOAD64LE MOVQ (SI)(AX*1), AX
#define LOAD64BE MOVQ (SI)(AX*1), AX; BSWAPQ AX
#define LOAD32LE MOVL (SI)(AX*1), AX
#define LOAD32BE MOVL (SI)(AX*1), AX; BSWAPL AX

// FIND makes DI the offset of the entry of the word AX, or jumps to NONE where
// another chunk has it. CX is the shift, R10 the table and R13 the factor.
#define FIND(NONE) \
	MOVQ AX, DX; \
	SHRQ $const_chunkShift, DX; \
	MOVQ DX, DI; \
	IMULQ R13, DI; \
	SHRXQ CX, DI, DI; \
	SHLQ $4, DI; \
	CMPQ chunk_key(R10)(DI*1), DX; \
	JNE NONE

// SCATTER is the body; boxTargets and boxStride are the package's.
#define SCATTER(LOAD) \
	MOVQ o+0(FP), R9; \
	MOVQ outbox_targets(R9), R8; \
	LEAQ outbox_n(R9), R9; \
	MOVQ x+8(FP), R10; \
	MOVQ Index_shift(R10), CX; \
	MOVQ Index_factor(R10), R13; \
	MOVQ Index_table(R10), R10; \
	MOVQ b_base+16(FP), SI; \
	MOVQ offs_base+40(FP), R11; \
	MOVQ offs_len+48(FP), R12; \
	MOVQ ahead_base+64(FP), R14; \
	XORQ BX, BX; \
	JMP check; \
next: \
	MOVL (R11)(BX*4), AX; \
	LOAD; \
	FIND(none); \
	MOVQ chunk_to(R10)(DI*1), DX; \
	ANDL $((1<<const_chunkShift)-1), AX; \
	SHLXQ DX, AX, AX; \
	ADDQ DX, AX; \
	SHRQ $const_zoneBit, DX; \
	MOVL (R9)(DX*4), DI; \
	IMUL3Q $const_boxStride, DX, R15; \
	ADDQ DI, R15; \
	MOVQ AX, (R8)(R15*8); \
	INCL DI; \
	MOVL DI, (R9)(DX*4); \
	INCQ BX; \
	PREFETCHT0 (R14); \
	ADDQ $64, R14; \
	CMPL DI, $const_boxTargets; \
	JEQ event; \
check: \
	CMPQ BX, R12; \
	JB next; \
none: \
	MOVQ $-1, DX; \
event: \
	MOVQ BX, n+88(FP); \
	MOVQ DX, zone+96(FP); \
	RET

// UNIT makes AX the span of the target AX, which is not direct, or that with the
// bit uneven. R8 are the granules.
#define UNIT \
	MOVQ AX, BX; \
	SHRQ $const_chunkShift, BX; \
	MOVL BX, BX; \
	SHLQ $4, BX; \
	SHRQ $const_subBits, AX; \
	NOTL AX; \
	SHLXQ AX, granule_starts(R8)(BX*1), AX; \
	POPCNTQ AX, AX; \
	ADDL granule_before(R8)(BX*1), AX; \
	DECL AX

// func bmiLook(x *Index, targets []target, spans []uint32)
TEXT ·bmiLook(SB), NOSPLIT, $0-56
	MOVQ x+0(FP), AX
	MOVQ targets_base+8(FP), SI
	MOVQ spans_base+32(FP), DI
	MOVQ spans_len+40(FP), CX
	MOVQ Index_granules(AX), R8
	MOVQ $const_direct, R9
	TESTQ CX, CX
	JZ done
	LEAQ (SI)(CX*8), SI
	LEAQ (DI)(CX*4), DI
	NEGQ CX
next:
	MOVQ (SI)(CX*8), AX
	TESTQ R9, AX
	JNZ store
	UNIT
store:
	MOVL AX, (DI)(CX*4)
	INCQ CX
	JNZ next
done:
	RET

// func bmiSift(states []state, x *Index, c *chunk, at uint32, to, offs []uint32, others *[boxTargets]uint32) (n, rest int)
TEXT ·bmiSift(SB), NOSPLIT, $8-120
	MOVQ states_base+0(FP), R10
	MOVQ x+24(FP), AX
	MOVQ Index_granules(AX), R8
	MOVQ Index_gaps(AX), R9
	MOVQ c+32(FP), AX
	MOVQ chunk_to(AX), CX
	MOVLQSX at+40(FP), R14
	SHLXQ CX, R14, R14
	ADDQ CX, R14 // the target of the word at offset zero
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
	SHLXQ CX, DX, AX
	ADDQ R14, AX
	UNIT
	TESTL AX, AX
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

// func bmiScatter64LE(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)
TEXT ·bmiScatter64LE(SB), NOSPLIT, $0-104
	SCATTER(LOAD64LE)

// func bmiScatter64BE(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)
TEXT ·bmiScatter64BE(SB), NOSPLIT, $0-104
	SCATTER(LOAD64BE)

// func bmiScatter32LE(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)
TEXT ·bmiScatter32LE(SB), NOSPLIT, $0-104
	SCATTER(LOAD32LE)

// func bmiScatter32BE(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)
TEXT ·bmiScatter32BE(SB), NOSPLIT, $0-104
	SCATTER(LOAD32BE)

// func bmiMark(states []state, spans []uint32, first, size uint32, i, n int) (i2, n2 int)
TEXT ·bmiMark(SB), NOSPLIT, $0-88
	MOVQ states_base+0(FP), R8
	MOVQ spans_base+24(FP), SI
	MOVQ spans_len+32(FP), R9
	MOVL first+48(FP), R10
	MOVL size+52(FP), R11
	MOVQ i+56(FP), BX
	MOVQ n+64(FP), R12
	JMP check
next:
	MOVL (SI)(BX*4), AX
	MOVL AX, DX
	SUBL R10, DX
	CMPL DX, R11
	JAE done
	MOVL AX, (SI)(R12*4)
	MOVL AX, DX
	SHRL $6, DX
	SHLQ $4, DX
	MOVQ state_reached(R8)(DX*1), R13
	ANDNQ state_more(R8)(DX*1), R13, DI
	SHRXQ AX, DI, DI
	ANDL $1, DI
	ADDQ DI, R12
	BTSQ AX, R13
	MOVQ R13, state_reached(R8)(DX*1)
	INCQ BX
check:
	CMPQ BX, R9
	JB next
done:
	MOVQ BX, i2+72(FP)
	MOVQ R12, n2+80(FP)
	RET
