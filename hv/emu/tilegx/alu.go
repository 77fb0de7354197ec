package tilegx

import (
	"math"
	"math/bits"
)

// withNumber are instructions of compute and lanes whose second operand is a
// number.
var withNumber = [opCount + 1]bool{
	opV1addi: true, opV1cmpeqi: true, opV1cmpltsi: true, opV1cmpltui: true, opV1maxui: true, opV1minui: true,
	opV1shli: true, opV1shrsi: true, opV1shrui: true,
	opV2addi: true, opV2cmpeqi: true, opV2cmpltsi: true, opV2cmpltui: true, opV2maxsi: true, opV2minsi: true,
	opV2shli: true, opV2shrsi: true, opV2shrui: true,
}

func signedHigh(v uint64) int64 { return int64(v) >> 32 }
func signedLow(v uint64) int64  { return int64(int32(v)) }
func high(v uint64) int64       { return int64(v >> 32) }
func low(v uint64) int64        { return int64(uint32(v)) }

// compute is what an instruction makes of two operands, and of what its result
// register has.
func compute(op Op, d, a, b uint64) (uint64, bool) {
	switch op {
	case opMulHsHs:
		return uint64(signedHigh(a) * signedHigh(b)), true
	case opMulHsHu:
		return uint64(signedHigh(a) * high(b)), true
	case opMulHsLs:
		return uint64(signedHigh(a) * signedLow(b)), true
	case opMulHsLu:
		return uint64(signedHigh(a) * low(b)), true
	case opMulHuHu:
		return uint64(high(a) * high(b)), true
	case opMulHuLs:
		return uint64(high(a) * signedLow(b)), true
	case opMulHuLu:
		return uint64(high(a) * low(b)), true
	case opMulLsLs:
		return uint64(signedLow(a) * signedLow(b)), true
	case opMulLsLu:
		return uint64(signedLow(a) * low(b)), true
	case opMulLuLu:
		return uint64(low(a) * low(b)), true
	case opMulaHsHs:
		return d + uint64(signedHigh(a)*signedHigh(b)), true
	case opMulaHsHu:
		return d + uint64(signedHigh(a)*high(b)), true
	case opMulaHsLs:
		return d + uint64(signedHigh(a)*signedLow(b)), true
	case opMulaHsLu:
		return d + uint64(signedHigh(a)*low(b)), true
	case opMulaHuHu:
		return d + uint64(high(a)*high(b)), true
	case opMulaHuLs:
		return d + uint64(high(a)*signedLow(b)), true
	case opMulaHuLu:
		return d + uint64(high(a)*low(b)), true
	case opMulaLsLs:
		return d + uint64(signedLow(a)*signedLow(b)), true
	case opMulaLsLu:
		return d + uint64(signedLow(a)*low(b)), true
	case opMulaLuLu:
		return d + uint64(low(a)*low(b)), true
	case opMulx:
		return extend32(a * b), true
	case opMulax:
		return extend32(d + a*b), true
	case opAddxsc:
		return saturate32(signedLow(a) + signedLow(b)), true
	case opSubxsc:
		return saturate32(signedLow(a) - signedLow(b)), true
	case opClz:
		return uint64(bits.LeadingZeros64(a)), true
	case opCtz:
		return uint64(bits.TrailingZeros64(a)), true
	case opPcnt:
		return uint64(bits.OnesCount64(a)), true
	case opRevbits:
		return bits.Reverse64(a), true
	case opRevbytes:
		return bits.ReverseBytes64(a), true
	case opTblidxb0, opTblidxb1, opTblidxb2, opTblidxb3:
		return d&^0x3fc | a>>(8*(op-opTblidxb0))&0xff<<2, true
	case opDblalign:
		return align(a, d, 8*(b&7)), true
	case opDblalign2:
		return align(a, b, 16), true
	case opDblalign4:
		return align(a, b, 32), true
	case opDblalign6:
		return align(a, b, 48), true
	case opShufflebytes:
		v := uint64(0)
		for i := 0; i < 64; i += 8 {
			from := d
			if b>>i&8 != 0 {
				from = a
			}
			v |= from >> (8 * (b >> i & 7)) & 0xff << i
		}
		return v, true
	}
	return 0, false
}

// align shifts the 128 bits of hi and lo right.
func align(hi, lo, shift uint64) uint64 { return lo>>shift | hi<<(64-shift) }

func saturate32(v int64) uint64 { return uint64(min(max(v, math.MinInt32), math.MaxInt32)) }
