package metag

// encoding is one instruction in one form.
type encoding struct {
	// name is the mnemonic; ? and ~ stand for the condition in bits 1 to 4,
	// which has other names in a floating-point instruction, # for a hexadecimal
	// digit.
	name string
	// value are those of a word's bits that mask has.
	value, mask uint32
	format      format
	flags       flags
}

// format is how an encoding's operands are laid out.
type format uint8

const (
	none format = iota
	moveUnits
	movePort
	mmov
	mdrd
	moveTrace
	getSet
	getSetLong
	getSetMany
	setIf
	transfer
	moveControl
	swap
	jump
	callr
	alu
	shift
	minMax
	bitop
	compare
	branch
	switchCode
	cacheRead
	cacheWrite
	icache
	linkedGet
	fpMove
	fpMoveMany
	fpMoveData
	fpMoveImm
	fpPack
	fpSwap
	fpCompare
	fpMove3
	fpConvert
	fpConvertFixed
	fpArith
	fpMultiplyAdd
	fpReciprocal
	fpSIMD
	fpAccumulator
	dspGetSet
	dspTemplate
	dspALU
	formats // how many
)

// flags tell forms of one format apart.
type flags uint16

const (
	fpu       flags = 1 << iota // uses the floating-point unit
	group1                      // DSP: three operands
	group2                      // DSP: two operands
	takesAcc                    // DSP: an accumulator may be the last operand
	crossAcc                    // DSP: may add one unit's accumulator to the other's
	givesAcc                    // DSP: an accumulator may be the result
	split8                      // DSP: works on bytes
	immediate                   // DSP: has a form with an immediate value
	rotates                     // the operand before the last is rotated
)

// Names of conditions.
var (
	conditions = [16]string{"", "EQ", "NE", "CS", "CC", "MI", "PL", "VS", "VC", "HI", "LS", "GE", "LT", "GT", "LE", "NV"}
	// of floating-point instructions; assemblers know FMI as MI and UPL as PL
	fpConditions = [16]string{"", "FEQ", "UNE", "FLO", "UHS", "MI", "PL", "UVS", "FVC", "UHI", "FLE", "FGE", "ULT", "FGT", "ULE", "NV"}
	// of instructions that look at the low and the high half, DSP and
	// floating-point
	dspConditions = [16]string{"", "LEQ", "LNE", "LCS", "LCC", "HEQ", "HNE", "HCS", "HCC", "LHI", "LLS", "HHI", "HLS", "EEQ", "ECS", ""}
	fpHalves      = [16]string{"", "LEQ", "LNE", "LLO", "LHS", "HEQ", "HNE", "HLO", "HHS", "LGR", "LLE", "HGR", "HLE", "EEQ", "ELO", ""}
)

// mnemonic is the name that an instruction of this encoding has.
func (e *encoding) mnemonic(w word) string {
	for i := range len(e.name) {
		var mid string
		switch e.name[i] {
		case '?':
			mid = conditions[w.cond()]
		case '~':
			mid = fpConditions[w.cond()]
		case '#':
			mid = "0123456789ABCDEF"[w.bits(0, 4):][:1]
		default:
			continue
		}
		return e.name[:i] + mid + e.name[i+1:]
	}
	return e.name
}

// byTop are the encodings that a word can have, by its top eight bits, in the
// order in which they are tried.
var byTop = index(coreEncodings, unitEncodings)

func index(tables ...[]encoding) (out [256][]*encoding) {
	for _, table := range tables {
		for i := range table {
			e := &table[i]
			for top := range out {
				if mask := e.mask >> 24; uint32(top)&mask == e.value>>24 {
					out[top] = append(out[top], e)
				}
			}
		}
	}
	return out
}

// find returns a word's encoding, nil if it is no instruction.
func find(w word) *encoding {
	for _, e := range byTop[w>>24] {
		if uint32(w)&e.mask == e.value {
			return e
		}
	}
	return nil
}
