package metag

import "fmt"

// Numbers of DSP registers above these are accumulators, or places in the
// DSP's memory.
const (
	dspAccumulators = 16
	dspMemory       = 16
)

const noDSP = "?.?"

// dspRegister names a pointer into a data unit's DSP memory, or its
// accumulator.
func dspRegister(u unit, n uint32) string {
	if n >= dspAccumulators {
		return accumulator(u, n)
	}
	return dspPointer(u, n)
}

// dspPointer is bank A or B, read or write, increments above number 8.
func dspPointer(u unit, n uint32) string {
	if n >= dspAccumulators {
		return noDSP
	}
	increment := [2]string{"", "I"}[n>>3]
	return fmt.Sprintf("D%d%c%c%s.%d", u-unitD0, "AB"[n>>2&1], "RW"[n>>1&1], increment, n&1)
}

func accumulator(u unit, n uint32) string {
	if n < dspAccumulators || n > dspAccumulators+3 {
		return noDSP
	}
	return fmt.Sprintf("AC%d.%d", u-unitD0, n-dspAccumulators)
}

// templateName is one of the 16 templates.
func templateName(n uint32) string {
	if n > 15 {
		return noDSP
	}
	return fmt.Sprintf("T%X", n)
}

// dspPlace is a place in DSP memory by an instruction's register number: that of
// a pointer, which may be moved on behind the access.
func dspPlace(u unit, n uint32, read bool) string {
	if n < dspMemory {
		return noDSP
	}
	half := 1
	if u == unitD0 {
		half = 0
	}
	way := 'W'
	if read {
		way = 'R'
	}
	bank, index := "AB"[n>>3&1], n>>2&1
	pointer := fmt.Sprintf("D%d%c%c.%d", half, bank, way, index)
	switch n & 3 {
	case 0:
		return pointer
	case 1:
		return pointer + "++"
	}
	return fmt.Sprintf("%s+D%d%c%cI.%d++", pointer, half, bank, way, n&1)
}

// dspOperand is a register, or a place in DSP memory in brackets.
func dspOperand(u unit, n uint32, read bool) string {
	if n < dspMemory {
		return u.name(n)
	}
	return "[" + dspPlace(u, n, read) + "]"
}

// dspImmediate is hexadecimal where it is positive.
func dspImmediate(w word) string {
	if v := w.signed(3, 16); v <= 0 {
		return dec(v)
	}
	return hex(w.imm16())
}

// postAddress is an address in an address unit, moved on behind the access by a
// register or by one step.
func postAddress(u unit, base uint32, step bool, by uint32) string {
	if !step {
		return "[" + u.name(base) + "+" + u.name(by&15) + "++]"
	}
	return "[" + u.name(base) + [4]string{"", "++", "", "--"}[by&3] + "]"
}

// definition is the load or store that a template is to do besides.
func definition(w word) string {
	load, name := w.has(13), templateName(w.bits(9, 4))
	at := postAddress(addressUnit(w.bits(23, 1)), w.bits(19, 4), w.has(18), w.bits(14, 4))
	if w.bits(17, 2) == 3 {
		at = "[" + dspPlace(dataUnit(w.bits(24, 1)), w.rd(), load) + "]"
	}
	if load {
		return " " + name + "," + at
	}
	return " " + at + "," + name
}

// letters are those of a prefix that apply.
func letters(all string, on ...bool) string {
	out := ""
	for i, yes := range on {
		if yes {
			out += all[i : i+1]
		}
	}
	return out
}

func printDSPGetSet(e *encoding, w word, _ uint32) string {
	u, n := dataUnit(w.bits(0, 1)), w.rd()
	var what string
	high := false
	if w.has(1) {
		what = templateName(n)
	} else {
		if high = n&0x18 == 0x18; high {
			n &= 0x17
		}
		what = dspRegister(u, n)
		if w.has(2) {
			what += "," + dspRegister(u.pair(), n)
		}
	}
	prefix := "D" + letters("H", high)
	step := w.has(13)
	by := w.bits(9, 4)
	at := postAddress(addressUnit(w.bits(18, 1)), w.bits(14, 4), step, by)
	if e.value&0x100 != 0 {
		return e.line(w, prefix, what, at)
	}
	return e.line(w, prefix, at, what)
}

func printDSPTemplate(e *encoding, w word, _ uint32) string {
	var operands []string
	for _, v := range []uint32{w.rd(), w.rs1(), w.rs2(), w.bits(4, 5)} {
		operands = append(operands, fmt.Sprintf("#0x%x", v))
	}
	if w.minor() == 3 {
		operands = operands[:3]
	}
	return e.line(w, "D"+letters("H", w.minor() == 5), operands...)
}

func printDSP(e *encoding, w word, pc uint32) string {
	switch {
	case e.flags&group1 != 0:
		return printDSP3(e, w)
	case e.flags&group2 != 0:
		return printDSP2(e, w)
	}
	return printDSPShift(e, w)
}

// printDSP3 prints the operations with two operands and a result.
func printDSP3(e *encoding, w word) string {
	is := func(f flags) bool { return e.flags&f != 0 }
	u := dataUnit(w.bits(24, 1))
	cond := w.has(26)
	template := !w.has(25) && w.has(1) && !cond
	imm := !template && w.has(25) && is(immediate)
	accumulates := is(givesAcc) && (w.has(2) || w.has(7))
	quick := is(rotates) && w.has(6)

	var dual, mod, over bool
	cc := ""
	switch {
	case imm:
		dual = w.has(2)
	case !cond:
		dual = w.has(4)
	default:
		cc = dspConditions[w.cond()]
	}
	switch {
	case is(split8):
		mod, over = w.has(7), w.has(5) && !template
	case is(takesAcc):
		mod, over = w.has(3), w.has(5)
	case is(givesAcc):
		mod = w.has(3)
	}

	var r [3]string
	n := [3]uint32{w.rd(), w.rs1(), w.rs2()}
	if template { // its registers come later
		n = [3]uint32{}
	}
	acc := func(i int) string {
		if template {
			return accumulator(u, dspAccumulators)
		}
		return accumulator(u, n[i])
	}
	whole := is(split8) && mod // no DSP memory then
	if is(crossAcc) && w.has(6) && w.has(8) {
		r[0], r[1] = acc(0), acc(0)
		r[2] = "AC" + [2]string{"1", "0"}[u-unitD0] + acc(0)[3:]
		if acc(0) == noDSP {
			r[2] = noDSP
		}
		quick = false
	} else {
		switch {
		case accumulates:
			r[0] = acc(0)
		case cond:
			r[0] = u.name(n[0])
		default:
			r[0] = dspOperand(u, n[0], false)
		}
		switch {
		case imm:
			r[1] = u.name(n[0])
			if n[0] >= dspMemory {
				r[1] = dspPlace(u, n[0], true)
				if !cond && !accumulates {
					r[1] = "[" + r[1] + "]"
				}
			}
		case whole && !template:
			r[1] = u.name(n[1])
		default:
			r[1] = dspOperand(u, n[1], true)
		}
		switch {
		case is(takesAcc) && w.has(7):
			r[2], quick = acc(2), false
		case template:
			r[2] = u.name(0)
		case w.has(0):
			su, sn := secondOperand(u, n[2])
			r[2] = su.name(sn)
		case whole || is(rotates) && w.has(4) && w.has(5) && !cond:
			r[2] = u.name(n[2])
		default:
			r[2] = dspOperand(u, n[2], true)
		}
	}

	operands := r[:]
	switch {
	case quick:
		at := w.bits(7, 1)
		if cond {
			at = w.bits(5, 1)
		}
		operands = append(operands, addressUnit(w.bits(24, 1)).name(2+at))
	case imm:
		operands = []string{r[0], r[1], dspImmediate(w)}
	}
	prefix := "D" + cc + letters("LQUMZPNOWT", dual,
		is(rotates) && !cond && w.has(5),
		is(givesAcc) && w.has(6), mod,
		accumulates && w.has(2) && !w.has(7),
		accumulates && !w.has(2) && w.has(7),
		accumulates && w.has(2) && w.has(7),
		over, template && w.has(0), template)
	text := e.line(w, prefix, operands...)
	if template {
		text += definition(w)
	}
	return text
}

// printDSP2 prints moves, tests and operations with one operand.
func printDSP2(e *encoding, w word) string {
	major := e.value >> 28
	ofDSP := major == 9 // moves of the DSP's own registers
	sum := major < 2    // MOV and NEG
	test := major == 7 && w&0x2c == 0
	float, toFloat := e.flags&fpu != 0, e.value&0x80 != 0
	imm := w.has(25) && e.flags&immediate != 0
	if ofDSP {
		imm = w.has(1)
	}
	template := !w.has(25) && w.has(1) && !ofDSP
	dual := w.has(4)
	if imm || ofDSP {
		dual = w.has(2)
	}
	u := dataUnit(w.bits(24, 1))
	if major == 0xa || ofDSP && !template {
		u = dataUnit(w.bits(0, 1))
	}
	n0, n1 := w.rd(), w.rs1()
	if test && !imm {
		n0 = w.rs1()
	}
	if sum || test {
		n1 = w.rs2()
	}
	prefix := "D" + letters("FLMOWT", float, dual, sum && w.has(3), sum && w.has(5), template && w.has(0), template)

	var r0, r1 string
	switch {
	case template:
		r0, r1 = u.name(0), u.name(0)
		if float && toFloat {
			r0 = fx(0)
		} else if float {
			r1 = fx(0)
		}
		return e.line(w, prefix, r0, r1) + definition(w)
	case imm && ofDSP:
		return e.line(w, prefix, dspRegister(u, n0), dspImmediate(w))
	case imm:
		return e.line(w, prefix, dspOperand(u, n0, true), dspImmediate(w))
	case ofDSP && e.value>>24&0xf == 1:
		return e.line(w, prefix, dspRegister(u, n0), u.name(n1))
	case ofDSP:
		return e.line(w, prefix, u.name(n0), dspPointer(u, n1))
	case float && toFloat:
		r0 = dspOperand(unitFX, n0, test)
	default:
		r0 = dspOperand(u, n0, test)
	}
	switch {
	case major != 0xa && w.has(0):
		su, sn := secondOperand(u, n1)
		r1 = su.name(sn)
	case sum && w.has(7):
		r1 = accumulator(u, n1)
	default:
		r1 = dspOperand(u, n1, true)
	}
	return e.line(w, prefix, r0, r1)
}

// printDSPShift prints the shifts.
func printDSPShift(e *encoding, w word) string {
	u := dataUnit(w.bits(24, 1))
	cond, acc, imm := w.has(26), w.has(0), w.has(25)
	template := !cond && w.has(1)
	cc, dual := "", false
	if cond && !w.has(5) {
		cc = dspConditions[w.cond()]
	} else if !cond {
		dual = w.has(4)
	}
	round, clamp9, clamp8 := !cond && w.bits(2, 2) == 1, !cond && w.bits(2, 2) == 2, !cond && w.bits(2, 2) == 3
	defines := template && !imm
	prefix := "D" + cc + letters("LGBRWT", dual, clamp9, clamp8, round, defines && w.has(5), template)

	var r [3]string
	switch {
	case defines:
		r = [3]string{u.name(0), u.name(0), u.name(0)}
		if acc {
			r[1] = accumulator(u, dspAccumulators)
		}
		return e.line(w, prefix, r[:]...) + definition(w)
	case cond && w.has(5):
		r[0] = unit(w.bits(1, 4)).name(w.rd())
	case cond:
		r[0] = u.name(w.rd())
	default:
		r[0] = dspOperand(u, w.rd(), false)
	}
	if r[1] = dspOperand(u, w.rs1(), true); acc {
		r[1] = accumulator(u, w.rs1())
	}
	if r[2] = dspOperand(u, w.rs2(), true); imm {
		r[2] = hex(w.rs2())
	}
	return e.line(w, prefix, r[:]...)
}
