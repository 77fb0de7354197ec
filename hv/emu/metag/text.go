package metag

import (
	"fmt"
	"math/bits"
	"strings"
)

// Text is an instruction at an address as GNU objdump prints it, except that a
// target is a number only: a prefix, the mnemonic and the operands in columns.
// It is empty for a word that is no instruction.
func Text(instruction, pc uint32) string {
	w := word(instruction)
	e := find(w)
	if e == nil {
		return ""
	}
	return printers[e.format](e, w, pc)
}

// printers are what prints each format.
var printers = [formats]func(*encoding, word, uint32) string{
	none:           printNone,
	moveUnits:      printMoveUnits,
	movePort:       printMovePort,
	mmov:           printMMOV,
	mdrd:           printMDRD,
	moveTrace:      printMoveTrace,
	getSet:         printGetSet,
	getSetLong:     printGetSetLong,
	getSetMany:     printGetSetMany,
	setIf:          printSetIf,
	transfer:       printTransfer,
	moveControl:    printMoveControl,
	swap:           printSwap,
	jump:           printJump,
	callr:          printCallr,
	alu:            printALU,
	shift:          printShift,
	minMax:         printMinMax,
	bitop:          printBitop,
	compare:        printCompare,
	branch:         printBranch,
	switchCode:     printSwitch,
	cacheRead:      printCacheRead,
	cacheWrite:     printCacheWrite,
	icache:         printICache,
	linkedGet:      printLinkedGet,
	fpMove:         printFPMove,
	fpMoveMany:     printFPMoveMany,
	fpMoveData:     printFPMoveData,
	fpMoveImm:      printFPMoveImm,
	fpPack:         printFPPack,
	fpSwap:         printFPSwap,
	fpCompare:      printFPCompare,
	fpMove3:        printFPMove3,
	fpConvert:      printFPConvert,
	fpConvertFixed: printFPConvertFixed,
	fpArith:        printFPArith,
	fpMultiplyAdd:  printFPMultiplyAdd,
	fpReciprocal:   printFPReciprocal,
	fpSIMD:         printFPSIMD,
	fpAccumulator:  printFPAccumulator,
	dspGetSet:      printDSPGetSet,
	dspTemplate:    printDSPTemplate,
	dspALU:         printDSP,
}

// line puts an instruction's parts into columns.
func (e *encoding) line(w word, prefix string, operands ...string) string {
	return fmt.Sprintf("%-10s%-10s%s", prefix, e.mnemonic(w), strings.Join(operands, ","))
}

// unitPrefix marks instructions that use a floating-point register.
func unitPrefix(units ...unit) string {
	for _, u := range units {
		if u == unitFX {
			return "F"
		}
	}
	return ""
}

// Numbers as they are printed.
func hex(v uint32) string { return "#" + hexNumber(v) }
func dec(v int32) string  { return fmt.Sprintf("#%d", v) }

func hexNumber(v uint32) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", v)
}

// imm16Text is the 16-bit immediate value, which may have a sign.
func imm16Text(w word) string {
	if w.has(1) {
		return dec(w.signed(3, 16))
	}
	return hex(w.imm16())
}

// bare is for instructions without operands.
func bare(name string) string { return fmt.Sprintf("%-10s%s", "", name) }

func printNone(e *encoding, w word, _ uint32) string { return bare(e.mnemonic(w)) }

func printMoveUnits(e *encoding, w word, _ uint32) string {
	to, from := unit(w.bits(5, 4)), unit(w.bits(10, 4))
	if w.has(0) && !w.has(9) { // KICK, DEFR
		from = unitTR
	}
	if from == 15 {
		if w.has(23) {
			return bare("RTI")
		}
		return bare("RTH")
	}
	return e.line(w, unitPrefix(to, from), to.name(w.rs1()), from.name(w.rd()))
}

func printSwap(e *encoding, w word, _ uint32) string {
	to, from := unit(w.bits(5, 4)), unit(w.bits(10, 4))
	return e.line(w, unitPrefix(to, from), to.name(w.rs1()), from.name(w.rd()))
}

func printMovePort(e *encoding, w word, _ uint32) string {
	if w.minor() == 2 { // MOVL
		to := shortUnit(w.bits(5, 2))
		return e.line(w, "", to.name(w.rs1()), to.pairName(w.rs2()), "RD")
	}
	to := unit(w.bits(5, 4))
	return e.line(w, unitPrefix(to), to.name(w.rs1()), "RD")
}

func printMoveTrace(e *encoding, w word, _ uint32) string {
	from := shortUnit(w.bits(7, 2))
	return e.line(w, "", "TTREC", from.name(w.rd()), from.pairName(w.rs1()))
}

// registerList are the register n and those that the mask in bits 7 to 13 adds,
// step numbers apart.
func registerList(u unit, n, mask, step uint32) string {
	list := []string{u.name(n)}
	for i := uint32(1); i < 8; i++ {
		if mask>>(i-1)&1 != 0 {
			list = append(list, u.name(n+i*step))
		}
	}
	return strings.Join(list, ",")
}

// fpStep is how far apart floating-point registers in a list are.
func fpStep(w word) uint32 { return 1 + w.bits(24, 1) }

func printMMOV(e *encoding, w word, _ uint32) string {
	mask := w.bits(7, 7)
	switch {
	case e.flags&fpu != 0:
		return e.line(w, "F", registerList(unitFX, w.rs1(), mask, fpStep(w)), "RD")
	case w.has(25): // fills the read pipeline
		port := unitRD.name(w.rd())
		list := strings.Repeat(port+",", bits.OnesCount32(mask)) + port
		prefix := ""
		if w.has(0) {
			prefix = map[uint32]string{22: "DB", 23: "DB", 24: "DBH", 25: "DWH", 31: "DW"}[w.rd()]
		}
		return e.line(w, prefix, list, "["+shortUnit(w.bits(5, 2)).name(w.rs1())+"++]")
	}
	prefix := ""
	if w.has(0) {
		prefix = "DW"
	}
	return e.line(w, prefix, registerList(shortUnit(w.bits(3, 2)), w.rd(), mask, 1), "RD")
}

func printMDRD(e *encoding, w word, _ uint32) string {
	return e.line(w, "", hex(uint32(bits.OnesCount32(w.bits(7, 7))+1)))
}

// value is the register, or both, that an instruction loads or stores.
func value(u unit, n, size uint32) string {
	if size == 8 {
		return u.name(n) + "," + u.pairName(n)
	}
	return u.name(n)
}

// address is base plus a number of bytes.
func address(base string, offset int32) string {
	if offset == 0 {
		return "[" + base + "]"
	}
	return fmt.Sprintf("[%s+#%d]", base, offset)
}

// indexed is base plus a register, with the sum kept in base if update is set:
// before the access, or behind it if post is.
func indexed(base, index string, update, post bool) string {
	switch {
	case !update:
		return "[" + base + "+" + index + "]"
	case post:
		return "[" + base + "+" + index + "++]"
	}
	return "[" + base + "++" + index + "]"
}

// getSetAddress is the address of the getSet format.
func getSetAddress(w word) string {
	u := shortUnit(w.bits(5, 2))
	base, update, post := u.name(w.rs1()), w.has(7), w.has(0)
	if !w.has(25) {
		return indexed(base, u.name(w.rs2()), update, post)
	}
	offset := w.signed(8, 6)
	if offset == 0 || !update {
		return address(base, offset*int32(w.getSetSize()))
	}
	change := fmt.Sprintf("#%d", offset*int32(w.getSetSize()))
	switch {
	case offset == 1 && post:
		return "[" + base + "++]"
	case offset == 1:
		return "[++" + base + "]"
	case offset == -1 && post:
		return "[" + base + "--]"
	case offset == -1:
		return "[--" + base + "]"
	}
	return indexed(base, change, true, post)
}

func printGetSet(e *encoding, w word, _ uint32) string {
	u, n, size := unit(w.bits(1, 4)), w.rd(), w.getSetSize()
	get := w.major() == 0xc
	if u == unitRD { // a port is 64 bits wide
		size = 4
		if !get {
			n = 0
		}
	}
	if get {
		return e.line(w, unitPrefix(u), value(u, n, size), getSetAddress(w))
	}
	return e.line(w, unitPrefix(u), getSetAddress(w), value(u, n, size))
}

func printGetSetLong(e *encoding, w word, _ uint32) string {
	size := w.longSize()
	at := address(shortUnit(w.bits(5, 2)).name(w.bits(0, 1)), w.signed(7, 12)*int32(size))
	u := shortUnit(w.bits(3, 2))
	switch w.minor() {
	case 5: // SET
		return e.line(w, "", at, value(u, w.rd(), size))
	case 6: // MOV to a port
		return e.line(w, "", unitRD.name(w.rd()), at)
	}
	return e.line(w, "", value(u, w.rd(), size), at)
}

func printGetSetMany(e *encoding, w word, _ uint32) string {
	u, step := shortUnit(w.bits(3, 2)), uint32(1)
	if e.flags&fpu != 0 {
		u, step = unitFX, fpStep(w)
	}
	list := registerList(u, w.rd(), w.bits(7, 7), step)
	at := "[" + shortUnit(w.bits(5, 2)).name(w.rs1()) + "++]"
	if w.major() == 0xc {
		return e.line(w, unitPrefix(u), list, at)
	}
	return e.line(w, unitPrefix(u), at, list)
}

func printSetIf(e *encoding, w word, _ uint32) string {
	u, n, size := unit(w.bits(10, 4)), w.rd(), w.setIfSize()
	if u == unitRD {
		n, size = 0, 4
	}
	return e.line(w, unitPrefix(u), address(shortUnit(w.bits(5, 2)).name(w.rs1()), 0), value(u, n, size))
}

func printTransfer(e *encoding, w word, _ uint32) string {
	from, to := shortUnit(w.bits(2, 2)), shortUnit(w.bits(0, 2))
	return e.line(w, "",
		indexed(to.name(w.bits(9, 5)), to.name(w.bits(4, 5)), w.has(26), w.has(24)),
		indexed(from.name(w.rd()), from.name(w.rs1()), w.has(27), w.has(24)))
}

func printMoveControl(e *encoding, w word, _ uint32) string {
	u := unitCT
	if w.has(2) {
		u = unitTT
	}
	return e.line(w, "", u.name(w.rd()), imm16Text(w))
}

func printJump(e *encoding, w word, _ uint32) string {
	return e.line(w, "", shortUnit(w.bits(0, 2)).name(w.rd()), hex(w.imm16()))
}

// target is where a relative branch at pc goes.
func target(w word, pc uint32) string { return fmt.Sprintf("0x%x", pc+w.displacement()) }

func printCallr(e *encoding, w word, pc uint32) string {
	return e.line(w, "", shortUnit(w.bits(3, 2)).name(w.bits(0, 3)), target(w, pc))
}

func printBranch(e *encoding, w word, pc uint32) string { return e.line(w, "", target(w, pc)) }

func printSwitch(e *encoding, w word, _ uint32) string { return e.line(w, "", hex(w.bits(0, 24))) }
