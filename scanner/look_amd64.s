#include "textflag.h"
#include "go_asm.h"

#define LOAD64LE MOVQ (SI)(AX*1), AX
#define LOAD64BE MOVQ (SI)(AX*1), AX; BSWAPQ AX
#define LOAD32LE MOVL (SI)(AX*1), AX
#define LOAD32BE MOVL (SI)(AX*1), AX; BSWAPL AX

// FIND makes DI the offset of the slot of the word AX, or jumps to NONE where
// another chunk has it. CX is the shift, R10 the table and R13 hashFactor.
#define FIND(NONE) \
	MOVQ AX, DX; \
	SHRQ $21, DX; \
	MOVQ DX, DI; \
	IMULQ R13, DI; \
	SHRXQ CX, DI, DI; \
	SHLQ $4, DI; \
	CMPQ slot_key(R10)(DI*1), DX; \
	JNE NONE

// SCATTER is the body; hashFactor and boxStride are the package's.
#define SCATTER(LOAD) \
	MOVQ o+0(FP), R9; \
	MOVQ outbox_targets(R9), R8; \
	LEAQ outbox_n(R9), R9; \
	MOVQ x+8(FP), R10; \
	MOVQ Index_shift(R10), CX; \
	MOVQ Index_table(R10), R10; \
	MOVQ b_base+16(FP), SI; \
	MOVQ offs_base+40(FP), R11; \
	MOVQ offs_len+48(FP), R12; \
	MOVQ $const_hashFactor, R13; \
	MOVQ ahead_base+64(FP), R14; \
	XORQ BX, BX; \
	JMP check; \
next: \
	MOVL (R11)(BX*4), AX; \
	LOAD; \
	FIND(none); \
	MOVQ slot_to(R10)(DI*1), DX; \
	ANDL $0x1fffff, AX; \
	ORQ DX, AX; \
	SHRQ $56, DX; \
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

// AIM is the body.
#define AIM(LOAD) \
	MOVQ h+0(FP), DI; \
	LEAQ hits_off(DI), R11; \
	LEAQ hits_to(DI), R8; \
	MOVQ x+8(FP), R10; \
	MOVQ Index_shift(R10), CX; \
	MOVQ Index_table(R10), R10; \
	MOVQ b_base+16(FP), SI; \
	MOVQ i+40(FP), BX; \
	MOVQ n+48(FP), R12; \
	MOVQ end+56(FP), R9; \
	MOVQ $const_hashFactor, R13; \
	JMP check; \
next: \
	MOVL (R11)(BX*4), AX; \
	MOVL AX, (R11)(R12*4); \
	LOAD; \
	FIND(done); \
	ANDL $0x1fffff, AX; \
	ORQ slot_to(R10)(DI*1), AX; \
	MOVQ AX, (R8)(R12*8); \
	INCQ BX; \
	INCQ R12; \
check: \
	CMPQ BX, R9; \
	JB next; \
done: \
	MOVQ BX, i2+64(FP); \
	MOVQ R12, n2+72(FP); \
	RET

// func bmiLook(x *Index, targets []target, spans []uint32)
TEXT ·bmiLook(SB), NOSPLIT, $0-56
	MOVQ x+0(FP), AX
	MOVQ targets_base+8(FP), SI
	MOVQ spans_base+32(FP), DI
	MOVQ spans_len+40(FP), CX
	MOVQ Index_chunks(AX), R8
	MOVQ Index_granules(AX), R9
	TESTQ CX, CX
	JZ done
	LEAQ (SI)(CX*8), SI
	LEAQ (DI)(CX*4), DI
	NEGQ CX
next:
	MOVQ (SI)(CX*8), AX
	BTQ $53, AX // direct
	JC store
	MOVQ AX, BX
	SHRQ $21, BX // the chunk's number
	MOVL BX, BX
	SHLQ $4, BX
	MOVQ chunk_place(R8)(BX*1), BX
	ANDL $0x1fffff, AX
	SHRXQ BX, AX, AX // the unit
	SHRQ $8, BX
	MOVL BX, BX
	MOVQ AX, DX
	SHRQ $6, DX
	ADDQ DX, BX
	SHLQ $4, BX
	NOTL AX
	SHLXQ AX, granule_starts(R9)(BX*1), AX
	POPCNTQ AX, AX
	ADDL granule_before(R9)(BX*1), AX
	DECL AX
store:
	MOVL AX, (DI)(CX*4)
	INCQ CX
	JNZ next
done:
	RET

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

// func bmiAim64LE(h *hits, x *Index, b []byte, i, n, end int) (i2, n2 int)
TEXT ·bmiAim64LE(SB), NOSPLIT, $0-80
	AIM(LOAD64LE)

// func bmiAim64BE(h *hits, x *Index, b []byte, i, n, end int) (i2, n2 int)
TEXT ·bmiAim64BE(SB), NOSPLIT, $0-80
	AIM(LOAD64BE)

// func bmiAim32LE(h *hits, x *Index, b []byte, i, n, end int) (i2, n2 int)
TEXT ·bmiAim32LE(SB), NOSPLIT, $0-80
	AIM(LOAD32LE)

// func bmiAim32BE(h *hits, x *Index, b []byte, i, n, end int) (i2, n2 int)
TEXT ·bmiAim32BE(SB), NOSPLIT, $0-80
	AIM(LOAD32BE)

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
	IMUL3Q $state__size, DX, DX
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
