package scanner

import "math/bits"

// A target is what a word points to: the number of a unit of the index, in all of
// which there is one span, or, with the bit direct, a span.
type target uint64

const direct target = 1 << 56

// chunk is a chunk in which there are objects, or a free entry of the table.
type chunk struct {
	key uint64 // the address's high part, with rough or not, or noKey
	// units is the number of its first unit, times 64, plus log2 of the bytes in one.
	units uint64
}

const (
	// noKey is the key of a free entry. No address has it.
	noKey = 1<<64 - 1
	// rough is set in the key of a chunk where a span starts within some unit: to
	// which span an address belongs takes a look at the spans.
	rough = 1 << 63
)

// newChunk returns one with granules from so many on, and units of so many bits.
func newChunk(key, granule uint64, unit uint) chunk {
	return chunk{key, granule<<(unitBits+6) | uint64(unit)}
}

// start returns the first address of c.
func (c *chunk) start() uint64 { return c.key << chunkShift }

// unit returns the number of an address's unit in c.
func (c *chunk) unit(addr uint64) uint64 {
	return c.units>>6 + addr&(1<<chunkShift-1)>>(c.units&63)
}

// granule returns the number of c's first granule.
func (c *chunk) granule() uint32 { return uint32(c.units >> (unitBits + 6)) }

// shift returns log2 of the bytes in a unit of c.
func (c *chunk) shift() uint { return uint(c.units & 63) }

// target returns that of a word; ok is false where it points to no object.
func (x *Index) target(w uint64) (_ target, ok bool) {
	c := x.chunkOf(w)
	switch {
	case c == nil:
		i, ok := x.findHuge(w)
		return direct | target(i), ok
	case c.key&rough != 0:
		return direct | target(x.findIn(c, w)), true
	}
	return target(c.unit(w)), true
}

// span returns the span that t is.
func (t target) span(x *Index) uint32 {
	if t&direct != 0 {
		return uint32(t)
	}
	return x.spanOf(uint64(t))
}

// spanOf returns the span of a unit. With the bit uneven it is that one or some
// one behind it.
func (x *Index) spanOf(unit uint64) uint32 {
	g := &x.granules[unit>>unitBits]
	return g.before + uint32(bits.OnesCount64(g.starts<<(^unit&63))) - 1
}

// findIn returns the span of an address in chunk c.
func (x *Index) findIn(c *chunk, addr uint64) uint32 {
	i := x.spanOf(c.unit(addr))
	if i&uneven != 0 {
		i = x.walk(addr, i&^uneven)
	}
	return i
}
