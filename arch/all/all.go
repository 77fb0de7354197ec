// Package all lists every architecture that Leakvisor knows. Adding one is a
// folder below arch and a line here.
package all

import (
	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/arm"
	"github.com/leakvisor/leakvisor/arch/metag"
	"github.com/leakvisor/leakvisor/arch/microblaze"
	"github.com/leakvisor/leakvisor/arch/mips"
	"github.com/leakvisor/leakvisor/arch/ppc"
	"github.com/leakvisor/leakvisor/arch/s390"
	"github.com/leakvisor/leakvisor/arch/sh"
	"github.com/leakvisor/leakvisor/arch/sparc"
	"github.com/leakvisor/leakvisor/arch/tile"
	"github.com/leakvisor/leakvisor/arch/x86"
)

// Archs returns all architectures.
func Archs() []*arch.Arch {
	return []*arch.Arch{
		x86.AMD64(),
		x86.I386(),
		arm.ARM64(),
		arm.ARMv7(),
		ppc.PPC64LE(),
		ppc.PPC32(),
		s390.S390X(),
		microblaze.MicroBlazeBE(),
		microblaze.MicroBlazeLE(),
		mips.MIPS32LE(),
		mips.MIPS32BE(),
		mips.MIPS64LE(),
		tile.GX(),
		metag.Meta2(),
		sh.SH4(),
		sparc.SPARC64(),
	}
}
