package metag

import "fmt"

// plain says of the registers outside the data and address units whether they
// only keep what is written.
func plain(u unit, n uint32) bool {
	switch u {
	case unitCT:
		return n == txRpt || n == txDefr || n == txDivTime || n == txPrivExt
	case unitTR:
		return n == trMask || n == trMaskI
	case unitPC:
		return n == 1 // PCX
	}
	return false
}

// general says whether a register is one of the thread's own, of the data or
// address units.
func general(u unit, n uint32) bool {
	return (u == unitD0 || u == unitD1) && n < 16 || (u == unitA0 || u == unitA1) && n < 8
}

// read reads any register; false if that is not implemented.
func (c *cpu) read(u unit, n uint32) (uint32, bool) {
	switch {
	case general(u, n) || plain(u, n):
		return c.r[slot(u, n)], true
	case u == unitCT && n == txEnable:
		const enabled, threadShift = 1, 8
		return enabled | uint32(c.id)<<threadShift, true
	case u == unitCT && n == txMode:
		return 0, true
	case u == unitCT && n == txStatus:
		return c.status(), true
	case u == unitCT && n == txTimer:
		return uint32(c.bus.Instructions) - c.r[slot(u, n)], true
	case u == unitCT && n == txActCyc:
		return uint32(c.bus.Instructions), true
	}
	c.err = fmt.Errorf("reading %s: %w", u.name(n), errNotImplemented)
	return 0, false
}

// write writes any register.
func (c *cpu) write(u unit, n, v uint32) next {
	switch {
	case general(u, n) || plain(u, n):
		c.r[slot(u, n)] = v
		return goOn
	case u == unitPC && n == 0:
		c.pc = v &^ 3
		return jumped
	case u == unitCT && n == txMode && v == 0: // no mode of the DSP's
		return goOn
	case u == unitCT && n == txStatus:
		c.r[slot(u, n)], c.flags = v, v&allFlags
		return goOn
	case u == unitCT && n == txTimer:
		c.r[slot(u, n)] = uint32(c.bus.Instructions) - v
		return goOn
	}
	c.err = fmt.Errorf("writing %#x to %s: %w", v, u.name(n), errNotImplemented)
	return stopped
}
