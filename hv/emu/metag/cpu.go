package metag

import (
	"fmt"
	"strings"

	"github.com/leakvisor/leakvisor/arch"
	metagarch "github.com/leakvisor/leakvisor/arch/metag"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv/emu"
)

// ramBase is where RAM lies physically: below the kernel's addresses, so that
// what runs before translation is on is not taken for the kernel.
const ramBase guestmem.GPA = 0x1000_0000

// ISA returns the instruction set for one machine.
func ISA() emu.ISA {
	a := metagarch.Meta2()
	var shared *core
	return emu.ISA{
		Arch:    a,
		RAMBase: ramBase,
		NewCPU: func(bus *emu.Bus, breaks *emu.Breaks, vcpu int) emu.CPU {
			if vcpu == 0 {
				shared = &core{}
			}
			return newCPU(a, shared, bus, breaks, vcpu)
		},
	}
}

// core is what the hardware threads of a core share.
type core struct {
	threads []*cpu
	locked  *cpu // who has the global lock, nil for nobody
}

// Registers are kept in one array, 32 for each unit in the order of units.
const (
	perUnit = 32
	scratch = 10 * perUnit // what becomes of a special register
	pcSlot  = scratch + 1  // the instruction's own address, as an operand
	slots   = pcSlot + 1
)

func slot(u unit, n uint32) uint16 { return uint16(uint32(u)*perUnit + n) }

// Flags, as in TXSTATUS.
const (
	flagC = 1 << iota
	flagV
	flagN
	flagZ
	allFlags = flagC | flagV | flagN | flagZ
)

// Registers that mean something here.
const (
	txEnable  = 0
	txMode    = 1
	txStatus  = 2
	txRpt     = 3
	txTimer   = 4
	txDefr    = 20
	txDivTime = 28
	txPrivExt = 29
	txActCyc  = 30
	trMask    = 1
	trMaskI   = 3
	linkD1    = 4 // D1RtP
)

// cpu is one hardware thread.
type cpu struct {
	arch   *arch.Arch
	core   *core
	bus    *emu.Bus
	breaks *emu.Breaks
	tlb    *emu.TLB
	blocks *emu.Blocks[block]
	id     int

	r     [slots]uint32
	flags uint32
	pc    uint32
	// table are MMCU_TnLOCAL_TABLE_PHYS0 and 1.
	table [2]uint32
	space *guestmem.AddressSpace
	named map[string]uint16
	err   error // why the last instruction could not be executed
	yield bool  // another thread has what it waits for
}

var _ emu.CPU = (*cpu)(nil)

func newCPU(a *arch.Arch, shared *core, bus *emu.Bus, breaks *emu.Breaks, id int) *cpu {
	c := &cpu{arch: a, core: shared, bus: bus, breaks: breaks, id: id, named: map[string]uint16{}}
	for u := unitD0; u <= unitPC; u++ {
		for n, name := range names[u] {
			c.named[name] = slot(u, uint32(n))
		}
	}
	c.tlb = emu.NewTLB(bus, c.translate)
	c.blocks = emu.NewBlocks[block](bus, breaks)
	shared.threads = append(shared.threads, c)
	return c
}

// PC implements emu.CPU.
func (c *cpu) PC() uint64 { return uint64(c.pc) }

// Start implements emu.CPU.
func (c *cpu) Start(pc, sp uint64) {
	c.pc = uint32(pc)
	c.r[slot(unitA0, 0)] = uint32(sp)
}

// Memory implements emu.CPU.
func (c *cpu) Memory() guestmem.Memory { return c.tlb }

// Register implements emu.CPU.
func (c *cpu) Register(name string) (uint64, bool) {
	switch name {
	case "PC":
		return uint64(c.pc), true
	case "TXSTATUS":
		return uint64(c.status()), true
	case "LOCAL_TABLE_PHYS0":
		return uint64(c.table[0]), true
	case "LOCAL_TABLE_PHYS1":
		return uint64(c.table[1]), true
	}
	at, ok := c.named[name]
	return uint64(c.r[at]), ok
}

func (c *cpu) status() uint32 { return c.r[slot(unitCT, txStatus)]&^allFlags | c.flags }

// Run implements emu.CPU.
func (c *cpu) Run(n int, over bool) (emu.Stop, error) {
	for n > 0 {
		b := c.blocks.Get(uint64(c.pc), 2)
		if b == nil {
			var err error
			if b, err = c.decode(c.pc); err != nil {
				return emu.Spent, fmt.Errorf("no instruction can be read: %w", err)
			}
			c.blocks.Put(uint64(c.pc), 2, b)
		}
		if b.atBreak && !over {
			return emu.AtBreak, nil
		}
		over = false
		done := c.execute(b)
		c.bus.Instructions += uint64(done)
		n -= max(done, 1)
		if c.err != nil {
			err := c.err
			c.err = nil
			return emu.Spent, fmt.Errorf("%s: %w", c.here(), err)
		}
		if c.yield {
			c.yield = false
			return emu.Spent, nil
		}
	}
	return emu.Spent, nil
}

// execute runs a block, and returns how many instructions it got on.
func (c *cpu) execute(b *block) int {
	for i := range b.ops {
		o := &b.ops[i]
		if o.cond != 0 && truth[o.cond]>>c.flags&1 == 0 {
			continue
		}
		switch o.do(c, o) {
		case jumped:
			return i + 1
		case stopped:
			c.pc = o.pc
			return i
		}
	}
	c.pc = b.end
	return len(b.ops)
}

// here is the instruction at which the CPU stands.
func (c *cpu) here() string {
	v, err := c.tlb.Load(uint64(c.pc), 4)
	if err != nil {
		return "an instruction"
	}
	if text := strings.Join(strings.Fields(Text(uint32(v), c.pc)), " "); text != "" {
		return text
	}
	return fmt.Sprintf("%#08x, which is no instruction", v)
}

// truth has for each condition a bit for each state of the flags.
var truth = func() (t [16]uint16) {
	for flags := range uint32(16) {
		z, n, v, cy := flags&flagZ != 0, flags&flagN != 0, flags&flagV != 0, flags&flagC != 0
		for cond, holds := range [16]bool{true, z, !z, cy, !cy, n, !n, v, !v, !cy && !z, cy || z,
			n == v, n != v, !z && n == v, z || n != v, false} {
			if holds {
				t[cond] |= 1 << flags
			}
		}
	}
	return t
}()
