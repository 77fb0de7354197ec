package metag

import (
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Below lies the core's own memory, which is not translated: registers at
// tableRegisters (Linux arch/metag/include/asm/metag_mem.h), and places to
// which writes flush caches, the TLB's among them, or order accesses.
const (
	systemEnd = 0x0800_0000

	tableRegisters = 0x0483_0700 // MMCU_T0LOCAL_TABLE_PHYS0
	tableStride    = 0x20        // from thread to thread
	tableLast      = 0x08        // PHYS1

	eventsStart, eventsEnd = 0x0400_0000, 0x0401_0000 // LINSYSEVENT
	flushStart, flushEnd   = 0x0440_0000, 0x0480_0000 // LINSYSCFLUSH

	tableValid = 1
	// Linux maps all of its half of the addresses: MMCU_TBLPHYS0_TBLSZ is 2
	// GiB, LINBASE zero.
	tableShape, wholeHalf = 0xffc0_0f00, 0x900
)

var errNotImplemented = errors.New("this is not implemented")

// translate is the CPU's own view of addresses.
func (c *cpu) translate(gva guestmem.GVA) (guestmem.GPA, uint64, error) {
	if gva < systemEnd {
		return 0, 0, &guestmem.AddressError{Addr: uint64(gva), Reason: "the core's own memory"}
	}
	if c.space == nil {
		return guestmem.GPA(gva), 4096 - uint64(gva)%4096, nil
	}
	return c.space.Translate(gva)
}

// load reads size bytes; false if that failed.
func (c *cpu) load(addr uint32, size int) (uint64, bool) {
	if addr < systemEnd {
		return c.loadSystem(addr, size)
	}
	v, err := c.tlb.Load(uint64(addr), size)
	if err != nil {
		c.err = err
		return 0, false
	}
	return v, true
}

// store writes size bytes; false if that failed.
func (c *cpu) store(addr uint32, size int, v uint64) bool {
	if addr < systemEnd {
		return c.storeSystem(addr, size, uint32(v))
	}
	if err := c.tlb.Store(uint64(addr), size, v); err != nil {
		c.err = err
		return false
	}
	return true
}

// tableRegister finds the thread and the number of a register of the tables.
func (c *cpu) tableRegister(addr uint32, size int) (*cpu, int) {
	off := addr - tableRegisters
	thread, reg := off/tableStride, off%tableStride
	if addr < tableRegisters || int(thread) >= len(c.core.threads) || reg != 0 && reg != tableLast || size != 4 {
		return nil, 0
	}
	return c.core.threads[thread], int(reg / tableLast)
}

func (c *cpu) loadSystem(addr uint32, size int) (uint64, bool) {
	if t, n := c.tableRegister(addr, size); t != nil {
		return uint64(t.table[n]), true
	}
	c.err = fmt.Errorf("a load from %#x: %w", addr, errNotImplemented)
	return 0, false
}

func (c *cpu) storeSystem(addr uint32, size int, v uint32) bool {
	if t, n := c.tableRegister(addr, size); t != nil {
		t.table[n] = v
		c.err = t.setTables()
		return c.err == nil
	}
	switch {
	case addr >= eventsStart && addr < eventsEnd:
		return true
	case addr >= flushStart && addr < flushEnd:
		for _, t := range c.core.threads {
			t.flush()
		}
		return true
	}
	c.err = fmt.Errorf("a store to %#x: %w", addr, errNotImplemented)
	return false
}

// flush forgets what was made of the page tables.
func (c *cpu) flush() {
	c.tlb.Flush()
	c.blocks.Flush()
}

// setTables takes the table registers as they are.
func (c *cpu) setTables() (err error) {
	c.flush()
	c.space = nil
	if c.table[0]&tableValid == 0 {
		return nil
	}
	if c.table[0]&tableShape != wholeHalf {
		return fmt.Errorf("a table for a part of the addresses (%#x): %w", c.table[0], errNotImplemented)
	}
	c.space, err = guestmem.FromRegisters(c.bus.Physical(), c.arch, map[string]uint64{
		"LOCAL_TABLE_PHYS0": uint64(c.table[0]), "LOCAL_TABLE_PHYS1": uint64(c.table[1]),
	})
	return err
}
