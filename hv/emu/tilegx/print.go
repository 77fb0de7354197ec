package tilegx

import (
	"strconv"
	"strings"
)

// registerName is what the assembler calls a register.
func registerName(n int64) string {
	switch {
	case n < 53:
		return "r" + strconv.FormatInt(n, 10)
	case n < 64:
		return [...]string{"tp", "sp", "lr", "sn", "idn0", "idn1", "udn0", "udn1", "udn2", "udn3", "zero"}[n-53]
	}
	return "<invalid>"
}

// Text is the bundle at pc as binutils' objdump prints it, but for addresses:
// those are whole and have no symbols.
func Text(bundle, pc uint64) string {
	return text(bundle, pc, func(a uint64) string { return "0x" + strconv.FormatUint(a, 16) })
}

func text(bundle, pc uint64, printAddress func(uint64) string) string {
	insts := Decode(bundle)
	padding := opFnop
	for i := range insts {
		if insts[i].Op == opNone || alone[insts[i].Op] {
			padding = opNop
		}
	}
	var parts []string
	for i := range insts {
		if in := &insts[i]; in.Op != padding || len(parts) == 0 && i == len(insts)-1 {
			parts = append(parts, in.text(pc, printAddress))
		}
	}
	return "{ " + strings.Join(parts, " ; ") + " }"
}

func (i *Inst) text(pc uint64, printAddress func(uint64) string) string {
	var b strings.Builder
	b.WriteString(i.Op.String())
	if i.enc == nil {
		return b.String()
	}
	for k, n := range i.enc.operands {
		if k > 0 {
			b.WriteByte(',')
		}
		b.WriteByte(' ')
		v := i.Args[k]
		switch operands[n].kind {
		case register:
			b.WriteString(registerName(v))
		case immediate:
			b.WriteString(strconv.FormatInt(v, 10))
		case address:
			b.WriteString(printAddress(pc + uint64(v)))
		case special:
			if name := sprs[uint64(v)]; name != "" {
				b.WriteString(name)
			} else {
				b.WriteString(strconv.FormatInt(v, 10))
			}
		}
	}
	return b.String()
}
