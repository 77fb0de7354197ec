package metag

import "fmt"

func printALU(e *encoding, w word, _ uint32) string {
	onAddresses := w.major() == 8
	u := dataUnit(w.bits(24, 1))
	if onAddresses {
		u = addressUnit(w.bits(24, 1))
	}
	to, quick := u, e.flags&rotates != 0
	rotation := func(n uint32) string { return addressUnit(w.bits(24, 1)).name(2 + n) }
	// MOV and NEG are additions and subtractions without a first operand.
	single := (onAddresses || w.major() < 2) && w.has(2)
	cond := w.has(26)
	if w.has(25) {
		if cond {
			if w.has(5) {
				to = unit(w.bits(1, 4))
			}
			operands := []string{to.name(w.rd()), u.name(w.rs1()), hex(w.bits(6, 8))}
			if quick {
				operands = append(operands, rotation(0))
			}
			return e.line(w, unitPrefix(to), operands...)
		}
		n, first := w.rd(), u.name(w.rd())
		if onAddresses && n > 15 {
			n, first = n&15, u.name(16)
		}
		if single {
			return e.line(w, "", to.name(n), imm16Text(w))
		}
		return e.line(w, "", to.name(n), first, imm16Text(w))
	}
	first, second := u.name(w.rs1()), u.name(w.rs2())
	if w.has(0) {
		su, n := secondOperand(u, w.rs2())
		second = su.name(n)
	}
	switch {
	case cond && w.major() == 6: // MUL
		if w.has(5) {
			to = unit(w.bits(1, 4))
		}
	case cond:
		to = unit(w.bits(5, 4))
	case quick:
		return e.line(w, "", to.name(w.rd()), first, second, rotation(w.bits(7, 1)))
	case single:
		return e.line(w, "", to.name(w.rd()), second)
	}
	return e.line(w, unitPrefix(to), to.name(w.rd()), first, second)
}

func printShift(e *encoding, w word, _ uint32) string {
	u := dataUnit(w.bits(24, 1))
	to := u
	if w.has(26) && w.has(5) {
		to = unit(w.bits(1, 4))
	}
	by := u.name(w.rs2())
	if w.has(25) {
		by = hex(w.rs2())
	}
	return e.line(w, unitPrefix(to), to.name(w.rd()), u.name(w.rs1()), by)
}

func printMinMax(e *encoding, w word, _ uint32) string {
	u := dataUnit(w.bits(24, 1))
	return e.line(w, "", u.name(w.rd()), u.name(w.rs1()), u.name(w.rs2()))
}

func printBitop(e *encoding, w word, _ uint32) string {
	u := dataUnit(w.bits(24, 1))
	to := u
	if w.major() == 0xa {
		u = dataUnit(w.bits(0, 1))
		to = u
		if w.bits(1, 2) == 2 && w.has(4) { // BEXL, of which a 64-bit value's first half is shown
			to = u.pair()
		}
	}
	return e.line(w, "", to.name(w.rd()), u.name(w.rs1()))
}

func printCompare(e *encoding, w word, _ uint32) string {
	u := dataUnit(w.bits(24, 1))
	switch {
	case w.has(25) && w.has(26):
		return e.line(w, "", u.name(w.rs1()), hex(w.bits(6, 8)))
	case w.has(25):
		return e.line(w, "", u.name(w.rd()), imm16Text(w))
	case w.has(0):
		su, n := secondOperand(u, w.rs2())
		return e.line(w, "", u.name(w.rs1()), su.name(n))
	}
	return e.line(w, "", u.name(w.rs1()), u.name(w.rs2()))
}

// cacheAddress is a base and an offset in units of so many bytes.
func cacheAddress(w word, width uint32) string {
	return address(shortUnit(w.bits(5, 2)).name(w.rs1()), w.signed(8, 6)*int32(width))
}

// cacheSize is the size of what a cache instruction reads or writes, in bytes.
func cacheSize(w word) uint32 { return 4 << w.bits(1, 1) }

func printCacheRead(e *encoding, w word, _ uint32) string {
	size := cacheSize(w)
	return e.line(w, "", value(shortUnit(w.bits(3, 2)), w.rd(), size), cacheAddress(w, size))
}

func printCacheWrite(e *encoding, w word, _ uint32) string {
	const line = 64
	return e.line(w, "", cacheAddress(w, line), value(shortUnit(w.bits(3, 2)), w.rd(), cacheSize(w)))
}

func printLinkedGet(e *encoding, w word, _ uint32) string {
	size := w.longSize()
	return e.line(w, "", value(shortUnit(w.bits(3, 2)), w.rd(), size), cacheAddress(w, size))
}

func printICache(e *encoding, w word, _ uint32) string {
	return e.line(w, "", dec(w.signed(9, 15)), fmt.Sprint("#", hexNumber(w.bits(1, 5))))
}
