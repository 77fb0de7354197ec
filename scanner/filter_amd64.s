#include "textflag.h"
#include "go_asm.h"

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

// Offsets of the words in a vector.
DATA steps<>+0(SB)/8, $0x0000000400000000
DATA steps<>+8(SB)/8, $0x0000000c00000008
DATA steps<>+16(SB)/8, $0x0000001400000010
DATA steps<>+24(SB)/8, $0x0000001c00000018
DATA steps<>+32(SB)/8, $0x0000002400000020
DATA steps<>+40(SB)/8, $0x0000002c00000028
DATA steps<>+48(SB)/8, $0x0000003400000030
DATA steps<>+56(SB)/8, $0x0000003c00000038
GLOBL steps<>(SB), RODATA|NOPTR, $64

DATA steps64<>+0(SB)/8, $0x0000000800000000
DATA steps64<>+8(SB)/8, $0x0000001800000010
DATA steps64<>+16(SB)/8, $0x0000002800000020
DATA steps64<>+24(SB)/8, $0x0000003800000030
GLOBL steps64<>(SB), RODATA|NOPTR, $32

// Word order for 512 bits: as the host's, or reversed.
#define ASIS512
#define SWAP512 VPSHUFB Z15, Z0, Z0

// BANDS loads the bands: first addresses in Z16 to Z18, sizes in Z19 to Z21.
#define BANDS(BROADCAST) \
	MOVQ f+40(FP), AX; \
	BROADCAST 0(AX), Z16; \
	BROADCAST 8(AX), Z19; \
	BROADCAST 16(AX), Z17; \
	BROADCAST 24(AX), Z20; \
	BROADCAST 32(AX), Z18; \
	BROADCAST 40(AX), Z21

// KEEP64 appends the offsets, Y6, of the words that K3 has.
#define KEEP64 \
	VPCOMPRESSD.Z Y6, K3, Y5; \
	VMOVDQU Y5, (R8)(R9*4)

// KEEP32 does so for words of 32 bits, of Z6.
#define KEEP32 \
	VPCOMPRESSD.Z Z6, K3, Z5; \
	VMOVDQU64 Z5, (R8)(R9*4)

// The numbers of 64 words.
DATA numbers<>+0(SB)/8, $0x0706050403020100
DATA numbers<>+8(SB)/8, $0x0f0e0d0c0b0a0908
DATA numbers<>+16(SB)/8, $0x1716151413121110
DATA numbers<>+24(SB)/8, $0x1f1e1d1c1b1a1918
DATA numbers<>+32(SB)/8, $0x2726252423222120
DATA numbers<>+40(SB)/8, $0x2f2e2d2c2b2a2928
DATA numbers<>+48(SB)/8, $0x3736353433323130
DATA numbers<>+56(SB)/8, $0x3f3e3d3c3b3a3938
GLOBL numbers<>(SB), RODATA|NOPTR, $64

// OUT1 sets the bits of K for the words of a vector that are not in the first
// band, OUT3 those that are in none.
#define OUT1(AT, ORDER, SUB, CMP, K) \
	VMOVDQU64 AT(SI), Z0; \
	ORDER; \
	SUB Z16, Z0, Z1; \
	CMP $5, Z19, Z1, K7, K

#define OUT3(AT, ORDER, SUB, CMP, K) \
	OUT1(AT, ORDER, SUB, CMP, K); \
	SUB Z17, Z0, Z2; \
	SUB Z18, Z0, Z3; \
	CMP $5, Z20, Z2, K, K; \
	CMP $5, Z21, Z3, K, K

// GROUP64 and GROUP32 do so for 64 words, in K1.
#define GROUP64(OUT, ORDER, SUB, CMP) \
	OUT(0, ORDER, SUB, CMP, K1); \
	OUT(64, ORDER, SUB, CMP, K2); \
	KUNPCKBW K1, K2, K1; \
	OUT(128, ORDER, SUB, CMP, K2); \
	OUT(192, ORDER, SUB, CMP, K3); \
	KUNPCKBW K2, K3, K2; \
	KUNPCKWD K1, K2, K1; \
	OUT(256, ORDER, SUB, CMP, K2); \
	OUT(320, ORDER, SUB, CMP, K3); \
	KUNPCKBW K2, K3, K2; \
	OUT(384, ORDER, SUB, CMP, K3); \
	OUT(448, ORDER, SUB, CMP, K4); \
	KUNPCKBW K3, K4, K3; \
	KUNPCKWD K2, K3, K2; \
	KUNPCKDQ K1, K2, K1

#define GROUP32(OUT, ORDER, SUB, CMP) \
	OUT(0, ORDER, SUB, CMP, K1); \
	OUT(64, ORDER, SUB, CMP, K2); \
	KUNPCKWD K1, K2, K1; \
	OUT(128, ORDER, SUB, CMP, K2); \
	OUT(192, ORDER, SUB, CMP, K3); \
	KUNPCKWD K2, K3, K2; \
	KUNPCKDQ K1, K2, K1

// APPEND writes the offsets of 16 words, by their numbers in X.
#define APPEND(X, AT, SHIFT) \
	VPMOVZXBD X, Z5; \
	VPSLLD $SHIFT, Z5, Z5; \
	VPADDD Z9, Z5, Z5; \
	VMOVDQU64 Z5, AT(R8)(R9*4)

// EACHGROUP goes through groups of 64 words and jumps to NONE when there are
// none left. Z9 is a group's offset, Z10 that of the next from it.
#define EACHGROUP(LABEL, FEW, NONE, GROUP, OUT, ORDER, SUB, CMP, SHIFT) \
LABEL: \
	CMPQ BX, $(64<<SHIFT); \
	JB NONE; \
	GROUP(OUT, ORDER, SUB, CMP); \
	KNOTQ K1, K1; \
	VPCOMPRESSB.Z Z8, K1, Z4; \
	KMOVQ K1, R10; \
	POPCNTQ R10, R10; \
	APPEND(X4, 0, SHIFT); \
	CMPQ R10, $16; \
	JBE FEW; \
	VEXTRACTI32X4 $1, Z4, X3; \
	APPEND(X3, 64, SHIFT); \
	VEXTRACTI32X4 $2, Z4, X3; \
	APPEND(X3, 128, SHIFT); \
	VEXTRACTI32X4 $3, Z4, X3; \
	APPEND(X3, 192, SHIFT); \
FEW: \
	ADDQ R10, R9; \
	VPADDD Z10, Z9, Z9; \
	ADDQ $(64<<SHIFT), SI; \
	SUBQ $(64<<SHIFT), BX; \
	JMP LABEL

// FILTER512 is the body for words of 1<<SHIFT bytes. The offsets of the
// struct's fields are hits_off and hits_n. Of the words behind the last group
// each vector is treated by itself.
#define FILTER512(ORDER, LOAD, SUB, CMP, BROADCAST, SHIFT, GROUP, KEEP) \
	MOVQ h+0(FP), DI; \
	MOVQ b_base+8(FP), SI; \
	MOVQ b_len+16(FP), BX; \
	LEAQ hits_off(DI), R8; \
	MOVQ hits_n(DI), R9; \
	KXNORQ K7, K7, K7; \
	BANDS(BROADCAST); \
	VMOVDQU64 numbers<>(SB), Z8; \
	VPBROADCASTD off+32(FP), Z9; \
	MOVL $(64<<SHIFT), CX; \
	VPBROADCASTD CX, Z10; \
	MOVQ 24(AX), CX; \
	ORQ 40(AX), CX; \
	JZ one; \
	EACHGROUP(three, three_few, rest, GROUP, OUT3, ORDER, SUB, CMP, SHIFT); \
	EACHGROUP(one, one_few, rest, GROUP, OUT1, ORDER, SUB, CMP, SHIFT); \
rest: \
	VPADDD Z9, Z6, Z6; \
	MOVL $64, CX; \
	VPBROADCASTD CX, Z7; \
next: \
	CMPQ BX, $64; \
	JB part; \
	VMOVDQU64 (SI), Z0; \
match: \
	ORDER; \
	SUB Z16, Z0, Z1; \
	SUB Z17, Z0, Z2; \
	SUB Z18, Z0, Z3; \
	CMP $1, Z19, Z1, K7, K1; \
	CMP $1, Z20, Z2, K7, K2; \
	CMP $1, Z21, Z3, K7, K3; \
	KORW K1, K2, K1; \
	KORW K1, K3, K3; \
	KEEP; \
	KMOVW K3, R10; \
	POPCNTL R10, R10; \
	ADDQ R10, R9; \
	VPADDD Z7, Z6, Z6; \
	ADDQ $64, SI; \
	SUBQ $64, BX; \
	JA next; \
done: \
	MOVQ R9, hits_n(DI); \
	VZEROUPPER; \
	RET; \
part: \
	TESTQ BX, BX; \
	JZ done; \
	MOVQ BX, CX; \
	SHRQ $SHIFT, CX; \
	MOVQ $1, DX; \
	SHLQ CX, DX; \
	DECQ DX; \
	KMOVQ DX, K7; \
	LOAD (SI), K7, Z0; \
	JMP match

// func avx512Filter64LE(h *hits, b []byte, off uint32, f *bands)
TEXT ·avx512Filter64LE(SB), NOSPLIT, $0-48
	VMOVDQU steps64<>(SB), Y6
	FILTER512(ASIS512, VMOVDQU64.Z, VPSUBQ, VPCMPUQ, VPBROADCASTQ, 3, GROUP64, KEEP64)

// func avx512Filter64BE(h *hits, b []byte, off uint32, f *bands)
TEXT ·avx512Filter64BE(SB), NOSPLIT, $0-48
	VBROADCASTI64X4 reverse64<>(SB), Z15
	VMOVDQU steps64<>(SB), Y6
	FILTER512(SWAP512, VMOVDQU64.Z, VPSUBQ, VPCMPUQ, VPBROADCASTQ, 3, GROUP64, KEEP64)

// func avx512Filter32LE(h *hits, b []byte, off uint32, f *bands)
TEXT ·avx512Filter32LE(SB), NOSPLIT, $0-48
	VMOVDQU64 steps<>(SB), Z6
	FILTER512(ASIS512, VMOVDQU32.Z, VPSUBD, VPCMPUD, VPBROADCASTD, 2, GROUP32, KEEP32)

// func avx512Filter32BE(h *hits, b []byte, off uint32, f *bands)
TEXT ·avx512Filter32BE(SB), NOSPLIT, $0-48
	VBROADCASTI64X4 reverse32<>(SB), Z15
	VMOVDQU64 steps<>(SB), Z6
	FILTER512(SWAP512, VMOVDQU32.Z, VPSUBD, VPCMPUD, VPBROADCASTD, 2, GROUP32, KEEP32)
