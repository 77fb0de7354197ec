package metag

import "fmt"

// unit is a register file, numbered as instructions do in their four-bit
// fields; higher numbers have no registers.
type unit uint32

const (
	unitCT unit = iota // control
	unitD0
	unitD1
	unitA0
	unitA1
	unitPC
	unitRD // ports of the read pipeline
	unitTR // triggers
	unitTT // trace
	unitFX // floating point
)

// names of the registers of each unit, by number; a number without a name is
// no register.
var names = [...][]string{
	unitCT: {
		"TXENABLE", "TXMODE", "TXSTATUS", "TXRPT", "TXTIMER", "TXL1START", "TXL1END", "TXL1COUNT",
		"TXL2START", "TXL2END", "TXL2COUNT", "TXBPOBITS", "TXMRSIZE", "TXTIMERI", "TXDRCTRL", "TXDRSIZE",
		"TXCATCH0", "TXCATCH1", "TXCATCH2", "TXCATCH3", "TXDEFR", "TXCPRS", "TXCLKCTRL", "TXINTERN0",
		"TXAMAREG0", "TXAMAREG1", "TXAMAREG2", "TXAMAREG3", "TXDIVTIME", "TXPRIVEXT", "TXTACTCYC", "TXIDLECYC",
	},
	unitD0: numbered(32, "D0.", "D0Re0", "D0Ar6", "D0Ar4", "D0Ar2", "D0FrT"),
	unitD1: numbered(32, "D1.", "D1Re0", "D1Ar5", "D1Ar3", "D1Ar1", "D1RtP"),
	unitA0: append(numbered(16, "A0.", "A0StP", "A0FrP"), "CPC0"),
	unitA1: append(numbered(16, "A1.", "A1GbP", "A1LbP"), "CPC1"),
	unitPC: {"PC", "PCX"},
	unitRD: {
		0: "RD", 16: "RA", 17: "RAPF", 22: "RAM8X32", 23: "RAM8X", 24: "RABZ", 25: "RAWZ", 26: "RADZ",
		28: "RABX", 29: "RAWX", 30: "RADX", 31: "RAMX",
	},
	unitTR: {"TXSTAT", "TXMASK", "TXSTATI", "TXMASKI", "TXPOLL", "TXGPIOI", "TXPOLLI", "TXGPIOO"},
	unitTT: {"TTEXEC", "TTCTRL", "TTMARK", "TTREC", "GTEXEC"},
	unitFX: numbered(16, "FX."),
}

// numbered returns n names, of which the first are given.
func numbered(n int, prefix string, first ...string) []string {
	for i := len(first); i < n; i++ {
		first = append(first, fmt.Sprint(prefix, i))
	}
	return first
}

// name of a register, "?" for none.
func (u unit) name(n uint32) string {
	if int(u) < len(names) && int(n) < len(names[u]) && names[u][n] != "" {
		return names[u][n]
	}
	return "?"
}

// pair is the unit with the other half of 64 bits.
func (u unit) pair() unit {
	switch u {
	case unitD0:
		return unitD1
	case unitD1:
		return unitD0
	case unitA0:
		return unitA1
	case unitA1:
		return unitA0
	}
	return u
}

// pairName is the register with the other half of what register n has.
func (u unit) pairName(n uint32) string {
	if u == unitFX {
		return u.name(n + 1)
	}
	return u.pair().name(n)
}

// shortUnit is the meaning of a two-bit unit field.
func shortUnit(field uint32) unit {
	if field == 0 {
		return unitA1
	}
	return unit(field)
}

// dataUnit is the meaning of a one-bit field for a data unit, addressUnit for
// an address unit.
func dataUnit(field uint32) unit    { return unitD0 + unit(field&1) }
func addressUnit(field uint32) unit { return unitA0 + unit(field&1) }

// secondOperand is the register that a five-bit field of an instruction in unit
// u names when it takes its second operand from another unit.
func secondOperand(u unit, field uint32) (unit, uint32) {
	other := [4]unit{unitA1, unitD0, unitRD, unitA0}[field>>3&3]
	if other == u {
		other = unitD1
	}
	return other, field & 7
}
