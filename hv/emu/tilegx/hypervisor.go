package tilegx

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv/emu"
)

// Calls of the hypervisor: HV_DISPATCH_ in Linux's
// arch/tile/include/hv/hypervisor.h.
const (
	callInstallContext = 2 // page table (physical), its access, ASID, flags
	callFlushASID      = 6
	callFlushPage      = 7
	callFlushPages     = 8
	callPowerOff       = 11
)

// Registers of a call.
const (
	callNumber = 10
	callArg0   = 0
	callResult = 0
)

// hypercall does what swint2 asks for. What is flushed is flushed everywhere:
// there is one memory, and nobody can have asked for a translation to stay.
func (c *CPU) hypercall() error {
	switch n := c.r[callNumber]; n {
	case callInstallContext:
		space, err := guestmem.NewAddressSpace(c.bus.Physical(), c.arch, guestmem.GPA(c.r[callArg0]))
		if err != nil {
			return err
		}
		c.space, c.root = space, c.r[callArg0]
		c.tlb.Flush()
		c.blocks.Flush()
	case callFlushASID, callFlushPage, callFlushPages:
		c.bus.Flush()
	case callPowerOff:
		return c.bus.Store(emu.DeviceBase+emu.DeviceEnd, 8, emu.EndPowerOff)
	default:
		return fmt.Errorf("hypervisor call %d: %w", n, errNotImplemented)
	}
	c.r[callResult] = 0
	return nil
}
