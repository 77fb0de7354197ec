package tilegx

import (
	"fmt"
	"strings"
)

// Special registers, numbered as in Linux's arch/tile/include/arch/spr_def_64.h.
const (
	sprCmpexchValue = 0x2780
	sprCycle        = 0x2781
)

// kept says whether a special register only keeps what software puts there.
// Without interrupts those of interrupts do.
func kept(name string) bool {
	switch name {
	case "CMPEXCH_VALUE", "INTERRUPT_CRITICAL_SECTION":
		return true
	}
	return strings.HasPrefix(name, "SYSTEM_SAVE_") || strings.HasPrefix(name, "EX_CONTEXT_")
}

func unknownSPR(n uint64) error {
	name := sprs[n]
	if name == "" {
		name = fmt.Sprint(n)
	}
	return fmt.Errorf("special register %s: %w", name, errNotImplemented)
}

func (c *CPU) readSPR(n uint64) (uint64, error) {
	switch {
	case n == sprCycle:
		return c.bus.Instructions, nil
	case kept(sprs[n]):
		return c.sprs[n], nil
	}
	return 0, unknownSPR(n)
}

func (c *CPU) writeSPR(n, v uint64) error {
	if !kept(sprs[n]) {
		return unknownSPR(n)
	}
	c.sprs[n] = v
	return nil
}
