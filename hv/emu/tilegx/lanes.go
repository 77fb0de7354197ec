package tilegx

import "math"

// lane is a part of a register of so many bits.
type lane struct{ bits uint }

func (l lane) get(v uint64, i uint) uint64 { return v >> (i * l.bits) & (1<<l.bits - 1) }

func (l lane) signed(v uint64) int64 { return int64(v<<(64-l.bits)) >> (64 - l.bits) }

func (l lane) max() int64 { return 1<<(l.bits-1) - 1 }

// saturate bounds a signed value to a lane.
func (l lane) saturate(v int64) uint64 { return uint64(min(max(v, -l.max()-1), l.max())) }

// each makes every lane of f of the same lanes of a and b.
func (l lane) each(a, b uint64, f func(a, b uint64) uint64) uint64 {
	out := uint64(0)
	for i := uint(0); i < 64/l.bits; i++ {
		out |= f(l.get(a, i), l.get(b, i)) & (1<<l.bits - 1) << (i * l.bits)
	}
	return out
}

// repeat fills all lanes with a number.
func (l lane) repeat(n uint64) uint64 {
	return l.each(0, 0, func(_, _ uint64) uint64 { return n })
}

// interleave takes lanes from first on in turns, b's first.
func (l lane) interleave(a, b uint64, first uint) uint64 {
	out := uint64(0)
	for i := uint(0); i < 32/l.bits; i++ {
		out |= l.get(b, first+i)<<(2*i*l.bits) | l.get(a, first+i)<<((2*i+1)*l.bits)
	}
	return out
}

// pack makes lanes of half the size, b's first.
func (l lane) pack(a, b uint64, f func(uint64) uint64) uint64 {
	half, n := lane{l.bits / 2}, 64/l.bits
	out := uint64(0)
	for i := range n {
		out |= half.get(f(l.get(b, i)), 0) << (i * half.bits)
		out |= half.get(f(l.get(a, i)), 0) << ((n + i) * half.bits)
	}
	return out
}

// lanes is what a SIMD instruction makes of two operands: its name starts with
// the bytes in a lane.
func lanes(op Op, a, b uint64) (uint64, bool) {
	var l lane
	switch {
	case op >= opV1add && op <= opV1subuc:
		l.bits = 8
	case op >= opV2add && op <= opV2subsc:
		l.bits = 16
	case op >= opV4add && op <= opV4subsc:
		l.bits = 32
	default:
		return 0, false
	}
	if v, ok := l.whole(op, a, b); ok {
		return v, true
	}
	shift := b & uint64(l.bits-1) // is one number for all lanes
	if withNumber[op] {
		b = l.repeat(b)
	}
	f := l.single(op, shift)
	if f == nil {
		return 0, false
	}
	return l.each(a, b, f), true
}

// single is what an instruction does with one lane, nil if it is none of those.
func (l lane) single(op Op, shift uint64) func(a, b uint64) uint64 {
	switch op {
	case opV1add, opV1addi, opV2add, opV2addi, opV4add:
		return func(a, b uint64) uint64 { return a + b }
	case opV1sub, opV2sub, opV4sub:
		return func(a, b uint64) uint64 { return a - b }
	case opV1adduc:
		return func(a, b uint64) uint64 { return min(a+b, math.MaxUint8) }
	case opV1subuc:
		return func(a, b uint64) uint64 { return a - min(a, b) }
	case opV2addsc, opV4addsc:
		return func(a, b uint64) uint64 { return l.saturate(l.signed(a) + l.signed(b)) }
	case opV2subsc, opV4subsc:
		return func(a, b uint64) uint64 { return l.saturate(l.signed(a) - l.signed(b)) }
	case opV1adiffu:
		return func(a, b uint64) uint64 { return max(a, b) - min(a, b) }
	case opV2adiffs:
		return func(a, b uint64) uint64 {
			return uint64(max(l.signed(a), l.signed(b)) - min(l.signed(a), l.signed(b)))
		}
	case opV1avgu:
		return func(a, b uint64) uint64 { return (a + b + 1) >> 1 }
	case opV2avgs:
		return func(a, b uint64) uint64 { return uint64((l.signed(a) + l.signed(b) + 1) >> 1) }
	case opV1cmpeq, opV1cmpeqi, opV2cmpeq, opV2cmpeqi:
		return func(a, b uint64) uint64 { return truth(a == b) }
	case opV1cmpne, opV2cmpne:
		return func(a, b uint64) uint64 { return truth(a != b) }
	case opV1cmplts, opV1cmpltsi, opV2cmplts, opV2cmpltsi:
		return func(a, b uint64) uint64 { return truth(l.signed(a) < l.signed(b)) }
	case opV1cmples, opV2cmples:
		return func(a, b uint64) uint64 { return truth(l.signed(a) <= l.signed(b)) }
	case opV1cmpltu, opV1cmpltui, opV2cmpltu, opV2cmpltui:
		return func(a, b uint64) uint64 { return truth(a < b) }
	case opV1cmpleu, opV2cmpleu:
		return func(a, b uint64) uint64 { return truth(a <= b) }
	case opV1maxu, opV1maxui:
		return func(a, b uint64) uint64 { return max(a, b) }
	case opV1minu, opV1minui:
		return func(a, b uint64) uint64 { return min(a, b) }
	case opV2maxs, opV2maxsi:
		return func(a, b uint64) uint64 { return uint64(max(l.signed(a), l.signed(b))) }
	case opV2mins, opV2minsi:
		return func(a, b uint64) uint64 { return uint64(min(l.signed(a), l.signed(b))) }
	case opV1mz, opV2mz:
		return func(a, b uint64) uint64 { return b & -truth(a == 0) }
	case opV1mnz, opV2mnz:
		return func(a, b uint64) uint64 { return b & -truth(a != 0) }
	case opV1multu, opV2mults:
		return func(a, b uint64) uint64 { return a * b }
	case opV1shl, opV1shli, opV2shl, opV2shli, opV4shl:
		return func(a, _ uint64) uint64 { return a << shift }
	case opV2shlsc, opV4shlsc:
		return func(a, _ uint64) uint64 { return l.saturate(l.signed(a) << shift) }
	case opV1shru, opV1shrui, opV2shru, opV2shrui, opV4shru:
		return func(a, _ uint64) uint64 { return a >> shift }
	case opV1shrs, opV1shrsi, opV2shrs, opV2shrsi, opV4shrs:
		return func(a, _ uint64) uint64 { return uint64(l.signed(a) >> shift) }
	}
	return nil
}

// whole is what instructions do that mix lanes.
func (l lane) whole(op Op, a, b uint64) (uint64, bool) {
	switch op {
	case opV1intL, opV2intL, opV4intL:
		return l.interleave(a, b, 0), true
	case opV1intH, opV2intH, opV4intH:
		return l.interleave(a, b, 32/l.bits), true
	case opV2packl:
		return l.pack(a, b, func(v uint64) uint64 { return v }), true
	case opV2packh:
		return l.pack(a, b, func(v uint64) uint64 { return v >> 8 }), true
	case opV2packuc:
		return l.pack(a, b, func(v uint64) uint64 { return uint64(min(max(l.signed(v), 0), math.MaxUint8)) }), true
	case opV4packsc:
		return l.pack(a, b, func(v uint64) uint64 { return lane{16}.saturate(l.signed(v)) }), true
	case opV1mulu, opV1mulus, opV2muls:
		return l.multiply(a, b, op != opV1mulu && op != opV1mulus, op != opV1mulu), true
	case opV1sadu, opV2sadu:
		sum := uint64(0)
		for i := uint(0); i < 64/l.bits; i++ {
			sum += max(l.get(a, i), l.get(b, i)) - min(l.get(a, i), l.get(b, i))
		}
		return sum, true
	case opV2sads:
		sum := int64(0)
		for i := uint(0); i < 64/l.bits; i++ {
			x, y := l.signed(l.get(a, i)), l.signed(l.get(b, i))
			sum += max(x, y) - min(x, y)
		}
		return uint64(sum), true
	}
	return 0, false
}

// multiply makes products of twice the size of the lower half's lanes.
func (l lane) multiply(a, b uint64, aSigned, bSigned bool) uint64 {
	wide, out := lane{2 * l.bits}, uint64(0)
	for i := uint(0); i < 32/l.bits; i++ {
		x, y := int64(l.get(a, i)), int64(l.get(b, i))
		if aSigned {
			x = l.signed(uint64(x))
		}
		if bSigned {
			y = l.signed(uint64(y))
		}
		out |= wide.get(uint64(x*y), 0) << (i * wide.bits)
	}
	return out
}
