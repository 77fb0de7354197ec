package main

import (
	"fmt"
	"strconv"
	"strings"
)

// registers of rv32e in Meta's, but for zero and sp. The first of both data
// units, D0FrT and the address units' third are free for the translation.
var registers = map[string]string{
	"ra": "D1RtP", "a0": "D1Ar1", "a1": "D0Ar2", "a2": "D1Ar3", "a3": "D0Ar4", "a4": "D1Ar5", "a5": "D0Ar6",
	"s0": "D0.5", "s1": "D1.5", "t0": "D0.6", "t1": "D1.6", "t2": "D0.7",
}

const (
	spare0, spare1 = "D0Re0", "D1Re0" // hold a result only while it is passed
	spareAddress   = "A0.2"
)

// recordSize is sizeof(struct metag_frame), stackAlign that of Meta's stack.
const (
	recordSize = 8
	stackAlign = 8
)

// function is what is known of the one that is being translated.
type function struct {
	name   string
	frame  int    // its frame's size in bytes
	depth  int    // how far below its value at entry RISC-V's sp is, in bytes
	record string // where it saves the return address, if it does
}

type translator struct {
	out    strings.Builder
	fn     function
	before []string // the lines before the one that is being translated
	skip   bool     // a section that is left out
}

// translate turns GCC's assembly for rv32e into Meta's.
func translate(text string) (string, error) {
	lines := strings.Split(text, "\n")
	t := &translator{}
	functions := map[string]bool{}
	for _, line := range lines {
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), ", @function"); ok {
			functions[strings.TrimSpace(strings.TrimPrefix(name, ".type"))] = true
		}
	}
	for i, line := range lines {
		var err error
		t.before = lines[:i]
		switch s := strings.TrimSpace(line); {
		case s == "" || s[0] == '#':
		case strings.HasSuffix(s, ":"):
			if name := s[:len(s)-1]; functions[name] {
				err = t.begin(name, lines[i+1:])
			}
			t.raw(s)
		case s[0] == '.':
			t.directive(s)
		default:
			err = t.instruction(s)
		}
		if err != nil {
			return "", fmt.Errorf("line %d, %s: %w", i+1, strings.TrimSpace(line), err)
		}
	}
	return t.out.String(), nil
}

func (t *translator) raw(s string) {
	if !t.skip {
		t.out.WriteString(s + "\n")
	}
}

// emit writes an instruction.
func (t *translator) emit(format string, args ...any) { t.raw("\t" + fmt.Sprintf(format, args...)) }

// directive passes what the assemblers agree on.
func (t *translator) directive(s string) {
	name, rest := s, ""
	if i := strings.IndexAny(s, "\t "); i >= 0 {
		name, rest = s[:i], s[i+1:]
	}
	switch name {
	case ".option", ".attribute", ".ident":
		return
	case ".align":
		name = ".p2align"
	case ".half":
		name = ".2byte"
	case ".word":
		name = ".4byte"
	case ".text", ".data", ".bss":
		t.skip = false
	case ".section":
		// RISC-V's frames are not what is there.
		t.skip = strings.HasPrefix(rest, ".debug_frame") || strings.HasPrefix(rest, ".note.GNU-stack")
	}
	t.raw("\t" + name + "\t" + rest)
}

// begin looks at what a function does: its frame is what all steps before the
// first one back make.
func (t *translator) begin(name string, lines []string) error {
	t.fn = function{name: name}
	back := false
	for i, line := range lines {
		s := strings.TrimSpace(line)
		if strings.HasPrefix(s, ".size\t"+name) {
			break
		}
		op, args := split(s)
		if op == "sw" && args[0] == "ra" && t.fn.record == "" {
			t.fn.record = args[1]
		}
		if !moves(op, args) {
			continue
		}
		n, err := step(op, args, lines[:i])
		if err != nil {
			return err
		}
		if back = back || n > 0; !back {
			t.fn.frame -= n
		}
	}
	return nil
}

// moves tells whether an instruction moves the stack pointer.
func moves(op string, args []string) bool {
	return (op == "addi" || op == "add") && args[0] == "sp" && args[1] == "sp"
}

// step is by how many bytes it does so. A number too large for it is made in a
// register by the lines just before.
func step(op string, args, before []string) (int, error) {
	if op == "addi" {
		return strconv.Atoi(args[2])
	}
	sum := 0
	for len(before) > 0 {
		last := len(before) - 1
		op, made := split(strings.TrimSpace(before[last]))
		before = before[:last]
		number := made[1]
		if op == "addi" && made[1] == args[2] {
			number = made[2]
		} else if op != "li" {
			break
		}
		n, err := strconv.Atoi(number)
		if err != nil || made[0] != args[2] {
			break
		}
		if sum += n; op == "li" {
			return sum, nil
		}
	}
	return 0, fmt.Errorf("sp moves by %s: %w", args[2], errUnknown)
}

// moveStack moves it by so many bytes: all of the frame is made by the first step
// and left by the last.
func (t *translator) moveStack(n int) error {
	if n < 0 && t.fn.depth == 0 {
		t.enter()
	}
	t.fn.depth -= n
	switch {
	case t.fn.depth < 0 || t.fn.depth > t.fn.frame:
		return fmt.Errorf("%d bytes of a frame of %d", t.fn.depth, t.fn.frame)
	case n > 0 && t.fn.depth == 0:
		t.leave()
	}
	return nil
}

// left is after a function's end, of which it may have several: the rest is in
// its frame again.
func (t *translator) left() {
	if t.fn.depth == 0 {
		t.fn.depth = t.fn.frame
	}
}

// split takes an instruction apart.
func split(s string) (op string, args []string) {
	op, rest, _ := strings.Cut(s, "\t")
	for _, a := range strings.Split(rest, ",") {
		args = append(args, strings.TrimSpace(a))
	}
	for len(args) < 3 {
		args = append(args, "")
	}
	return op, args
}

// reg is Meta's register for one that is not zero or sp.
func reg(name string) (string, error) {
	if r, ok := registers[name]; ok {
		return r, nil
	}
	return "", fmt.Errorf("register %q is not known", name)
}

// source is a register with an operand's value.
func (t *translator) source(name, spare string) (string, error) {
	if name == "zero" {
		t.emit("MOV\t%s,#0", spare)
		return spare, nil
	}
	return reg(name)
}

// bottom is how far below A0StP an offset from RISC-V's sp is, in bytes.
func (t *translator) bottom(offset int) int { return offset - t.fn.depth }

func (t *translator) aligned() int { return (t.fn.frame + stackAlign - 1) &^ (stackAlign - 1) }

// enter makes the frame: from the record, if there is one, upward.
func (t *translator) enter() {
	if t.fn.record != "" {
		t.emit("MOV\tD0FrT,A0FrP")
		t.emit("SETL\t[A0StP++],D0FrT,D1RtP")
		t.emit("SUB\tA0FrP,A0StP,#%d", recordSize)
	}
	t.emit("ADD\tA0StP,A0StP,#%d", t.aligned())
}

func (t *translator) leave() {
	if t.fn.record == "" {
		t.emit("SUB\tA0StP,A0StP,#%d", t.aligned())
		return
	}
	t.emit("GETL\tD0FrT,D1RtP,[A0FrP]")
	t.emit("MOV\tA0StP,A0FrP")
	t.emit("MOV\tA0FrP,D0FrT")
}

// Results are passed where Meta has them, and are as in RISC-V otherwise.
func (t *translator) returnResult() {
	t.emit("MOV\t%s,D1Ar1", spare0)
	t.emit("MOV\t%s,D0Ar2", spare1)
}

func (t *translator) takeResult() {
	t.emit("MOV\tD1Ar1,%s", spare0)
	t.emit("MOV\tD0Ar2,%s", spare1)
}
