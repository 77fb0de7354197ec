package emu

const (
	blockBits  = 12
	blockSlots = 1 << blockBits
)

// Blocks is a cache of decoded code by virtual address. A block of type B is
// straight code, which the CPU executes from its start; it does not go beyond
// an address in Breaks or the end of a page of 4 KiB.
type Blocks[B any] struct {
	bus    *Bus
	breaks *Breaks
	slots  []blockSlot[B]
	bus0   uint64
	break0 uint64
}

type blockSlot[B any] struct {
	pc    uint64
	block *B
}

// NewBlocks returns an empty cache.
func NewBlocks[B any](bus *Bus, breaks *Breaks) *Blocks[B] {
	return &Blocks[B]{bus: bus, breaks: breaks, slots: make([]blockSlot[B], blockSlots)}
}

// Get returns the block that starts at pc, nil if there is none. Shift is log2
// of the alignment of instructions.
func (c *Blocks[B]) Get(pc uint64, shift uint) *B {
	if c.bus0 != c.bus.epoch || c.break0 != c.breaks.epoch {
		c.Flush()
	}
	if s := &c.slots[pc>>shift%blockSlots]; s.pc == pc {
		return s.block
	}
	return nil
}

// Put remembers a block.
func (c *Blocks[B]) Put(pc uint64, shift uint, b *B) {
	c.slots[pc>>shift%blockSlots] = blockSlot[B]{pc, b}
}

// Flush forgets all blocks, when the guest has changed its code or where it is.
func (c *Blocks[B]) Flush() {
	clear(c.slots)
	c.bus0, c.break0 = c.bus.epoch, c.breaks.epoch
}
