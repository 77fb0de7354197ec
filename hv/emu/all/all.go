// Package all lists the instruction sets that hv/emu interprets.
package all

import (
	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/hv/emu"
	"github.com/leakvisor/leakvisor/hv/emu/metag"
	"github.com/leakvisor/leakvisor/hv/emu/tilegx"
)

// ISAs returns all instruction sets.
func ISAs() []emu.ISA {
	return []emu.ISA{
		tilegx.ISA(),
		metag.ISA(),
	}
}

// ByArch returns the instruction set of an architecture.
func ByArch(a *arch.Arch) (emu.ISA, bool) {
	for _, isa := range ISAs() {
		if isa.Arch.ELF == a.ELF {
			return isa, true
		}
	}
	return emu.ISA{}, false
}
