package tilegx

import (
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/tile"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv/emu"
)

// bundleShift is log2 of bundleSize.
const bundleShift = 3

// CPU is one TILE-Gx core at protection level 1.
type CPU struct {
	r      [256]uint64 // 0 to 63 are the registers
	pc     uint64
	bus    *emu.Bus
	tlb    *emu.TLB
	breaks *emu.Breaks
	blocks *emu.Blocks[block]
	sprs   map[uint64]uint64
	space  *guestmem.AddressSpace // nil for physical addresses
	arch   *arch.Arch
	root   uint64 // of space
	napped bool
}

var _ emu.CPU = (*CPU)(nil)

// ISA is what an emu.Machine is made with.
func ISA() emu.ISA {
	a := tile.GX()
	return emu.ISA{Arch: a, NewCPU: func(bus *emu.Bus, breaks *emu.Breaks, _ int) emu.CPU {
		return newCPU(a, bus, breaks)
	}}
}

func newCPU(a *arch.Arch, bus *emu.Bus, breaks *emu.Breaks) *CPU {
	c := &CPU{arch: a, bus: bus, breaks: breaks, blocks: emu.NewBlocks[block](bus, breaks), sprs: map[uint64]uint64{}}
	c.tlb = emu.NewTLB(bus, c.translateAddress)
	return c
}

// translateAddress is what the hypervisor does at a TLB miss.
func (c *CPU) translateAddress(gva guestmem.GVA) (guestmem.GPA, uint64, error) {
	if c.space != nil {
		return c.space.Translate(gva)
	}
	const page = 1 << 12
	return guestmem.GPA(gva), page - uint64(gva)%page, nil
}

// PC implements emu.CPU.
func (c *CPU) PC() uint64 { return c.pc }

// Start implements emu.CPU.
func (c *CPU) Start(pc, sp uint64) { c.pc, c.r[spReg] = pc, sp }

// Memory implements emu.CPU.
func (c *CPU) Memory() guestmem.Memory { return c.tlb }

// Register implements emu.CPU.
func (c *CPU) Register(name string) (uint64, bool) {
	switch name {
	case tile.PC:
		return c.pc, true
	case tile.PageTable:
		return c.root, true
	}
	r, ok := tile.Register(name)
	if !ok {
		return 0, false
	}
	return c.r[r], true
}

// Run implements emu.CPU.
func (c *CPU) Run(n int, over bool) (emu.Stop, error) {
	for n > 0 {
		b := c.blocks.Get(c.pc, bundleShift)
		if b == nil {
			var err error
			if b, err = c.translate(c.pc); err != nil {
				return emu.Spent, fmt.Errorf("fetching an instruction: %w", err)
			}
			c.blocks.Put(c.pc, bundleShift, b)
		}
		if b.stop && !over {
			return emu.AtBreak, nil
		}
		over = false
		if at, err := c.exec(b); err != nil {
			c.pc = b.pc + uint64(b.micros[at].bundle)*bundleSize
			return emu.Spent, c.explain(err)
		}
		n -= b.bundles
		c.bus.Instructions += uint64(b.bundles)
		if c.napped {
			c.napped = false
			return emu.Idle, nil
		}
	}
	return emu.Spent, nil
}

// explain says which bundle cannot be gone on from.
func (c *CPU) explain(err error) error {
	var word [bundleSize]byte
	if guestmem.Read(c.tlb, guestmem.GVA(c.pc), word[:]) != nil {
		return err
	}
	return fmt.Errorf("%s: %w", Text(c.bus.Order().Uint64(word[:]), c.pc), err)
}
