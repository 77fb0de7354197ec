package metag

// fx names a floating-point register.
func fx(n uint32) string { return unitFX.name(n) }

// fpFlags are the letters of a floating-point instruction's prefix, by the bits
// that stand for them.
func fpFlags(w word, letters string, at ...uint) string {
	out := "F"
	for i, bit := range at {
		if w.has(bit) {
			out += letters[i : i+1]
		}
	}
	return out
}

func printFPMove(e *encoding, w word, _ uint32) string {
	return e.line(w, fpFlags(w, "LD", 6, 5)+fpHalves[w.cond()], fx(w.rd()), fx(w.rs1()))
}

func printFPMoveMany(e *encoding, w word, _ uint32) string {
	mask := w.bits(7, 7)
	count := uint32(0)
	for m := mask; m != 0; m &= m - 1 {
		count = count<<1 | 1
	}
	data := registerList(dataUnit(w.bits(0, 1)), w.rd(), mask, 1)
	// The floating-point registers follow each other whatever the mask.
	floats := registerList(unitFX, w.rs1(), count, fpStep(w))
	if w.major() == 0xc {
		return e.line(w, "F", floats, data)
	}
	return e.line(w, "F", data, floats)
}

func printFPMoveData(e *encoding, w word, _ uint32) string {
	u := dataUnit(w.bits(24, 1))
	if w.has(7) {
		return e.line(w, "F", fx(w.rd()), u.name(w.rs2()))
	}
	return e.line(w, "F", u.name(w.rd()), fx(w.rs2()))
}

func printFPMoveImm(e *encoding, w word, _ uint32) string {
	prefix := "F"
	switch {
	case w.has(2):
		prefix = "FL"
	case w.has(1):
		prefix = "FD"
	}
	return e.line(w, prefix, fx(w.rd()), hex(w.imm16()))
}

func printFPPack(e *encoding, w word, _ uint32) string {
	return e.line(w, "F", fx(w.rd()), fx(w.rs1()), fx(w.rs2()))
}

func printFPSwap(e *encoding, w word, _ uint32) string {
	return e.line(w, "FL", fx(w.rd()), fx(w.rs1()))
}

func printFPCompare(e *encoding, w word, _ uint32) string {
	second := fx(w.rs2())
	if w.has(8) {
		second = "#0"
	}
	return e.line(w, fpFlags(w, "LDAQ", 6, 5, 19, 7)+fpHalves[w.cond()], fx(w.rs1()), second)
}

func printFPMove3(e *encoding, w word, _ uint32) string {
	return e.line(w, fpFlags(w, "LD", 6, 5)+fpHalves[w.cond()], fx(w.rd()), fx(w.rs1()), fx(w.rs2()))
}

func printFPConvert(e *encoding, w word, _ uint32) string {
	return e.line(w, fpFlags(w, "LZ", 6, 12)+fpHalves[w.cond()], fx(w.rd()), fx(w.rs1()))
}

func printFPConvertFixed(e *encoding, w word, _ uint32) string {
	fraction := w.bits(9, 5)
	if w.has(7) {
		fraction = w.bits(8, 6)
	}
	return e.line(w, fpFlags(w, "L", 6)+fpHalves[w.cond()], fx(w.rd()), fx(w.rs1()), hex(fraction))
}

func printFPArith(e *encoding, w word, _ uint32) string {
	return e.line(w, fpFlags(w, "LDI", 6, 5, 7)+fpHalves[w.cond()], fx(w.rd()), fx(w.rs1()), fx(w.rs2()))
}

func printFPMultiplyAdd(e *encoding, w word, _ uint32) string {
	prefix := fpFlags(w, "LDI", 6, 5, 7)
	if w.minor() == 5 {
		return e.line(w, prefix+fpHalves[w.cond()], fx(w.rd()), fx(w.rs1()), fx(w.rs2()))
	}
	if w.has(4) && w.has(1) { // MUZ
		prefix += "Q"
	}
	switch {
	case w.bits(0, 5) == 0: // MAC
		return e.line(w, prefix, "ACF.0", fx(w.rs1()), fx(w.rs2()))
	case w.has(3) && w.has(0): // MAW1
		return e.line(w, prefix, fx(w.rs1()), fx(w.rs2()))
	}
	return e.line(w, prefix, fx(w.rd()), fx(w.rs1()), fx(w.rs2()))
}

func printFPReciprocal(e *encoding, w word, _ uint32) string {
	return e.line(w, fpFlags(w, "LDIQZ", 6, 5, 7, 9, 10), fx(w.rd()), fx(w.rs1()))
}

func printFPSIMD(e *encoding, w word, _ uint32) string {
	prefix := "FL"
	if w.has(7) {
		prefix = "FLI"
	}
	return e.line(w, prefix, fx(w.rd()), fx(w.rs1()), fx(w.rs2()))
}

func printFPAccumulator(e *encoding, w word, _ uint32) string {
	part := [4]string{"ACF.0", "ACF.1", "ACF.2", "ACF.3"}[w.bits(19, 2)]
	at := "[" + shortUnit(w.bits(5, 2)).name(w.rs1()) + "++]"
	if w.major() == 0xc {
		return e.line(w, "F", part, at)
	}
	return e.line(w, "F", at, part)
}
