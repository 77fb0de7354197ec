#include "textflag.h"

// All ones, then all zeros: a load at 32-n selects the first n bytes.
DATA select<>+0(SB)/8, $-1
DATA select<>+8(SB)/8, $-1
DATA select<>+16(SB)/8, $-1
DATA select<>+24(SB)/8, $-1
DATA select<>+32(SB)/8, $0
DATA select<>+40(SB)/8, $0
DATA select<>+48(SB)/8, $0
DATA select<>+56(SB)/8, $0
GLOBL select<>(SB), RODATA|NOPTR, $64

// Shuffles that reverse the bytes of each word.
DATA reverse64<>+0(SB)/8, $0x0001020304050607
DATA reverse64<>+8(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse64<>+16(SB)/8, $0x0001020304050607
DATA reverse64<>+24(SB)/8, $0x08090a0b0c0d0e0f
GLOBL reverse64<>(SB), RODATA|NOPTR, $32

DATA reverse32<>+0(SB)/8, $0x0405060700010203
DATA reverse32<>+8(SB)/8, $0x0c0d0e0f08090a0b
DATA reverse32<>+16(SB)/8, $0x0405060700010203
DATA reverse32<>+24(SB)/8, $0x0c0d0e0f08090a0b
GLOBL reverse32<>(SB), RODATA|NOPTR, $32

// Word order: as the host's, or reversed.
#define ASIS(Y)
#define SWAP(Y) VPSHUFB Y15, Y, Y

// MATCH sets the lanes of OUT for the words of Y6 in a band: Y0, Y2, Y4 are
// what makes a band's first address the least signed number, Y1, Y3, Y5 the
// signed limits.
#define MATCH(ADD, CMP, OUT) \
	ADD Y0, Y6, OUT; \
	CMP OUT, Y1, OUT; \
	ADD Y2, Y6, Y11; \
	CMP Y11, Y3, Y11; \
	ADD Y4, Y6, Y12; \
	CMP Y12, Y5, Y12; \
	VPOR Y11, OUT, OUT; \
	VPOR Y12, OUT, OUT

// FILTER is the body for words of LANES to a vector; four vectors are QUAD
// words and give as many bits.
#define FILTER(ORDER, ADD, CMP, MASK, MASKLOAD, LANES, QUAD) \
	MOVQ m+0(FP), DI; \
	MOVQ b_base+8(FP), SI; \
	MOVQ b_len+16(FP), BX; \
	MOVQ f+32(FP), AX; \
	VMOVDQU 48(AX), Y0; \
	VMOVDQU 80(AX), Y1; \
	VMOVDQU 112(AX), Y2; \
	VMOVDQU 144(AX), Y3; \
	VMOVDQU 176(AX), Y4; \
	VMOVDQU 208(AX), Y5; \
	ANDQ $~(32/LANES-1), BX; \
group: \
	CMPQ BX, $(64*32/LANES); \
	JB tail; \
	XORQ DX, DX; \
	MOVQ $(64/QUAD), CX; \
four: \
	VMOVDQU (SI), Y6; \
	ORDER(Y6); \
	MATCH(ADD, CMP, Y7); \
	VMOVDQU 32(SI), Y6; \
	ORDER(Y6); \
	MATCH(ADD, CMP, Y8); \
	VMOVDQU 64(SI), Y6; \
	ORDER(Y6); \
	MATCH(ADD, CMP, Y9); \
	VMOVDQU 96(SI), Y6; \
	ORDER(Y6); \
	MATCH(ADD, CMP, Y10); \
	MASK Y7, R8; \
	MASK Y8, R9; \
	MASK Y9, R10; \
	MASK Y10, R11; \
	SHLQ $LANES, R9; \
	SHLQ $(2*LANES), R10; \
	SHLQ $(3*LANES), R11; \
	ORQ R9, R8; \
	ORQ R11, R10; \
	ORQ R10, R8; \
	SHRQ $QUAD, DX; \
	SHLQ $(64-QUAD), R8; \
	ORQ R8, DX; \
	ADDQ $128, SI; \
	DECQ CX; \
	JNZ four; \
	MOVQ DX, (DI); \
	ADDQ $8, DI; \
	SUBQ $(64*32/LANES), BX; \
	JMP group; \
tail: \
	TESTQ BX, BX; \
	JZ done; \
	XORQ DX, DX; \
	XORQ CX, CX; \
single: \
	CMPQ BX, $32; \
	JB part; \
	VMOVDQU (SI), Y6; \
	ORDER(Y6); \
	MATCH(ADD, CMP, Y7); \
	MASK Y7, R8; \
	SHLQ CX, R8; \
	ORQ R8, DX; \
	ADDQ $LANES, CX; \
	ADDQ $32, SI; \
	SUBQ $32, BX; \
	JMP single; \
part: \
	TESTQ BX, BX; \
	JZ store; \
	LEAQ select<>+32(SB), R9; \
	SUBQ BX, R9; \
	VMOVDQU (R9), Y10; \
	MASKLOAD (SI), Y10, Y6; \
	ORDER(Y6); \
	MATCH(ADD, CMP, Y7); \
	VPAND Y10, Y7, Y7; \
	MASK Y7, R8; \
	SHLQ CX, R8; \
	ORQ R8, DX; \
store: \
	MOVQ DX, (DI); \
done: \
	VZEROUPPER; \
	RET

// func avx2Filter64LE(m *masks, b []byte, f *bands)
TEXT ·avx2Filter64LE(SB), NOSPLIT, $0-40
	FILTER(ASIS, VPADDQ, VPCMPGTQ, VMOVMSKPD, VPMASKMOVQ, 4, 16)

// func avx2Filter64BE(m *masks, b []byte, f *bands)
TEXT ·avx2Filter64BE(SB), NOSPLIT, $0-40
	VMOVDQU reverse64<>(SB), Y15
	FILTER(SWAP, VPADDQ, VPCMPGTQ, VMOVMSKPD, VPMASKMOVQ, 4, 16)

// func avx2Filter32LE(m *masks, b []byte, f *bands)
TEXT ·avx2Filter32LE(SB), NOSPLIT, $0-40
	FILTER(ASIS, VPADDD, VPCMPGTD, VMOVMSKPS, VPMASKMOVD, 8, 32)

// func avx2Filter32BE(m *masks, b []byte, f *bands)
TEXT ·avx2Filter32BE(SB), NOSPLIT, $0-40
	VMOVDQU reverse32<>(SB), Y15
	FILTER(SWAP, VPADDD, VPCMPGTD, VMOVMSKPS, VPMASKMOVD, 8, 32)
