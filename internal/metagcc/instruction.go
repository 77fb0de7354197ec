package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Operations with a register or an immediate value as the last operand.
var (
	operations = map[string]string{
		"add": "ADD", "sub": "SUB", "and": "AND", "or": "OR", "xor": "XOR", "mul": "MULD",
		"sll": "LSL", "srl": "LSR", "sra": "ASR",
	}
	immediates = map[string]string{
		"addi": "ADD", "andi": "AND", "ori": "OR", "xori": "XOR", "slli": "LSL", "srli": "LSR", "srai": "ASR",
	}
	loads  = map[string]string{"lw": "GETD", "lh": "GETW", "lhu": "GETW", "lb": "GETB", "lbu": "GETB"}
	stores = map[string]string{"sw": "SETD", "sh": "SETW", "sb": "SETB"}
	extend = map[string]string{"lh": "XSDW", "lb": "XSDB"}
	sizes  = map[string]int{"GETD": 4, "GETW": 2, "GETB": 1, "SETD": 4, "SETW": 2, "SETB": 1}
	// Branches by the condition, with two operands and with one and zero.
	branches = map[string]string{
		"beq": "EQ", "bne": "NE", "blt": "LT", "bge": "GE", "bgt": "GT", "ble": "LE",
		"bltu": "LO", "bgeu": "HS", "bgtu": "HI", "bleu": "LS",
	}
	zeroBranches = map[string]string{"beqz": "EQ", "bnez": "NE", "bltz": "LT", "bgez": "GE", "bgtz": "GT", "blez": "LE"}
	// Comparisons that give 1 or 0.
	comparisons = map[string]string{"slt": "LT", "sltu": "LO", "sgt": "GT", "sgtu": "HI", "slti": "LT", "sltiu": "LO"}
	zeroTests   = map[string]string{"seqz": "EQ", "snez": "NE", "sltz": "LT", "sgtz": "GT"}
)

var errUnknown = errors.New("this instruction is not known")

// instruction translates one.
func (t *translator) instruction(s string) error {
	op, args := split(s)
	if moves(op, args) {
		n, err := step(op, args, t.before)
		if err != nil {
			return err
		}
		return t.moveStack(n)
	}
	if m, ok := loads[op]; ok {
		return t.memory(m, args, extend[op])
	}
	if m, ok := stores[op]; ok {
		return t.memory(m, args, "")
	}
	if m, ok := operations[op]; ok {
		return t.operate(m, args)
	}
	if m, ok := immediates[op]; ok {
		return t.operateImmediate(m, args)
	}
	if cond, ok := branches[op]; ok {
		if err := t.compare(args[0], args[1]); err != nil {
			return err
		}
		t.emit("B%s\t%s", cond, args[2])
		return nil
	}
	if cond, ok := zeroBranches[op]; ok {
		if err := t.compare(args[0], "zero"); err != nil {
			return err
		}
		t.emit("B%s\t%s", cond, args[1])
		return nil
	}
	if cond, ok := comparisons[op]; ok {
		return t.test(cond, args[0], args[1], args[2])
	}
	if cond, ok := zeroTests[op]; ok {
		return t.test(cond, args[0], args[1], "zero")
	}
	return t.other(op, args)
}

func (t *translator) other(op string, args []string) error {
	switch op {
	case "nop":
		t.emit("NOP")
	case "fence":
		// One thread runs at a time, and the core keeps their order.
	case "li":
		return t.load(args[0], args[1])
	case "lla", "la":
		return t.address(args[0], args[1])
	case "mv":
		return t.move(args[0], args[1], 0)
	case "neg", "not":
		if err := t.move(args[0], args[1], 0); err != nil {
			return err
		}
		r, err := reg(args[0])
		if op == "neg" {
			t.emit("NEG\t%s,%s", r, r)
		} else {
			t.emit("XOR\t%s,%s,#-1", r, r)
		}
		return err
	case "call":
		t.emit("CALLR\tD1RtP,%s", args[0])
		t.takeResult()
	case "jalr":
		r, err := reg(args[0])
		if err != nil || args[1] != "" {
			return errors.Join(err, errUnknown)
		}
		t.emit("MOV\tD1RtP,%s", r)
		t.emit("SWAP\tPC,D1RtP")
		t.takeResult()
	case "tail", "j":
		t.emit("B\t%s", args[0])
		t.left()
	case "ret":
		t.returnResult()
		t.emit("MOV\tPC,D1RtP")
		t.left()
	case "jr":
		r, err := reg(args[0])
		if err != nil {
			return err
		}
		if args[0] == "ra" {
			t.returnResult()
		}
		t.emit("MOV\tPC,%s", r)
		t.left()
	case "ebreak":
		t.emit("SWITCH\t#0")
	default:
		return errUnknown
	}
	return nil
}

// memory translates a load or store.
func (t *translator) memory(op string, args []string, extend string) error {
	offset, base, ok := strings.Cut(strings.TrimSuffix(args[1], ")"), "(")
	n, err := strconv.Atoi(offset)
	if ok && err != nil {
		return errUnknown
	}
	if args[0] == "ra" && args[1] == t.fn.record {
		return nil // the record has it
	}
	value, err := t.source(args[0], spare0)
	if err != nil {
		return err
	}
	place := ""
	size := sizes[op]
	if !ok {
		t.emit("MOVT\t%s,#HI(%s)", spareAddress, args[1])
		t.emit("ADD\t%s,%s,#LO(%s)", spareAddress, spareAddress, args[1])
		place = "[" + spareAddress + "]"
	} else {
		b, lowest := "A0StP", -2048
		if base == "sp" {
			if n = t.bottom(n); n >= 0 {
				return errors.New("the caller's frame")
			}
		} else if b, err = reg(base); err != nil {
			return err
		} else {
			lowest = -32 * size
		}
		switch {
		case n == 0:
			place = "[" + b + "]"
		case n%size == 0 && n >= lowest && n < 32*size:
			place = fmt.Sprintf("[%s+#%d]", b, n)
		default:
			t.emit("MOV\t%s,%s", spareAddress, b)
			t.emit("ADD\t%s,%s,#%d", spareAddress, spareAddress, n)
			place = "[" + spareAddress + "]"
		}
	}
	if op[0] == 'S' {
		t.emit("%s\t%s,%s", op, place, value)
		return nil
	}
	t.emit("%s\t%s,%s", op, value, place)
	if extend != "" {
		t.emit("%s\t%s,%s", extend, value, value)
	}
	return nil
}

func (t *translator) operate(op string, args []string) error {
	to, err := reg(args[0])
	if err != nil {
		return err
	}
	a, err := t.source(args[1], spare0)
	if err != nil {
		return err
	}
	b, err := t.source(args[2], spare1)
	if err != nil {
		return err
	}
	// Shifts take both operands from one unit.
	if strings.HasPrefix(op, "LS") || strings.HasPrefix(op, "AS") {
		if a[1] != b[1] {
			spare := "D" + a[1:2] + "Re0"
			t.emit("MOV\t%s,%s", spare, b)
			b = spare
		}
	}
	t.emit("%s\t%s,%s,%s", op, to, a, b)
	return nil
}

func (t *translator) operateImmediate(op string, args []string) error {
	v, err := strconv.ParseInt(args[2], 0, 32)
	if err != nil {
		return errUnknown
	}
	n := int(v)
	switch {
	case args[0] == "sp":
		return errUnknown
	case op == "ADD":
		return t.move(args[0], args[1], n)
	}
	to, err := reg(args[0])
	if err != nil {
		return err
	}
	from, err := t.source(args[1], spare0)
	if err != nil {
		return err
	}
	if to != from && (n < 0 || n > 255) {
		t.emit("MOV\t%s,%s", to, from)
		from = to
	}
	t.emit("%s\t%s,%s,#%d", op, to, from, n)
	return nil
}

// move makes a register another plus a number.
func (t *translator) move(name, other string, n int) error {
	if other == "zero" {
		return t.load(name, strconv.Itoa(n))
	}
	to, err := reg(name)
	if err != nil {
		return err
	}
	from := "A0StP"
	if other == "sp" {
		n = t.bottom(n)
	} else if from, err = reg(other); err != nil {
		return err
	}
	switch {
	case n >= 0 && n <= 255 && n != 0 && from[0] == 'D':
		t.emit("ADD\t%s,%s,#%d", to, from, n)
	default:
		if to != from {
			t.emit("MOV\t%s,%s", to, from)
		}
		if n != 0 {
			t.emit("ADD\t%s,%s,#%d", to, to, n)
		}
	}
	return nil
}

// load makes a register a number.
func (t *translator) load(name, number string) error {
	to, err := reg(name)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(number, 0, 64)
	if err != nil || n < -1<<31 || n >= 1<<32 {
		return errUnknown
	}
	if n >= -1<<15 && n < 1<<16 {
		t.emit("MOV\t%s,#%d", to, n)
		return nil
	}
	v := uint32(n)
	t.emit("MOVT\t%s,#%#x", to, v>>16)
	if v&0xffff != 0 {
		t.emit("ADD\t%s,%s,#%#x", to, to, v&0xffff)
	}
	return nil
}

// address makes a register a symbol's address.
func (t *translator) address(name, symbol string) error {
	to, err := reg(name)
	if err != nil {
		return err
	}
	t.emit("MOVT\t%s,#HI(%s)", to, symbol)
	t.emit("ADD\t%s,%s,#LO(%s)", to, to, symbol)
	return nil
}

// compare sets the flags by two operands, of which one may be a number.
func (t *translator) compare(a, b string) error {
	first, err := t.source(a, spare0)
	if err != nil {
		return err
	}
	if b == "zero" {
		b = "0"
	}
	if n, err := strconv.Atoi(b); err == nil {
		t.emit("CMP\t%s,#%d", first, n)
		return nil
	}
	second, err := reg(b)
	if err != nil {
		return err
	}
	t.emit("CMP\t%s,%s", first, second)
	return nil
}

// test makes a register 1 if a condition holds, else 0.
func (t *translator) test(cond, name, a, b string) error {
	if err := t.compare(a, b); err != nil {
		return err
	}
	to, err := reg(name)
	if err != nil {
		return err
	}
	t.emit("MOV\t%s,#0", to)
	t.emit("ADD%s\t%s,%s,#1", cond, to, to)
	return nil
}
