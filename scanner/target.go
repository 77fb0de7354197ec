package scanner

import "math/bits"

// A target is what a word points to, not yet looked up: in 32 bits the number of
// a granule, in unitBits that of one of its units, and in subBits where in that
// the address is, left-aligned; what is left of them has no meaning. Or, with the
// bit direct, it is a span. Above these is the zone where it is most likely to be.
type target uint64

const (
	subBits        = chunkShift - unitBits // as many as the largest unit needs
	direct  target = 1 << (32 + chunkShift)
	zoneBit        = 56
)

// chunk is a chunk in which there are objects, or a free entry of the table.
type chunk struct {
	key uint64 // the address's high part, or noKey
	// to is the target of its first address, and in the low bits, which that leaves
	// free, how far up an address's low part is in a target.
	to target
}

// noKey is the key of a free entry. No address has it.
const noKey = 1<<64 - 1

// newChunk returns one with granules from so many on, and units of so many bits.
func newChunk(key, granule uint64, unit uint) chunk {
	return chunk{key, target(granule)<<chunkShift | target(subBits-unit)}
}

// target returns that of an address in c.
func (c *chunk) target(addr uint64) target {
	return c.to + target(addr&(1<<chunkShift-1))<<(c.to&63)
}

// granule returns the number of c's first granule.
func (c *chunk) granule() uint32 { return c.to.granule() }

// unit returns log2 of the bytes in a unit of c.
func (c *chunk) unit() uint { return subBits - uint(c.to&63) }

// target returns that of a word; ok is false where it points to no object.
func (x *Index) target(w uint64) (_ target, ok bool) {
	if c := x.chunkOf(w); c != nil {
		return c.target(w), true
	}
	i, ok := x.findHuge(w)
	return x.direct(i), ok
}

// direct returns the target that span i is.
func (x *Index) direct(i uint32) target {
	return direct | target(i) | target(x.zone(i))<<zoneBit
}

// inZone adds the zone to a target without.
func (x *Index) inZone(t target) target {
	if t&direct != 0 {
		return x.direct(uint32(t))
	}
	return t | target(x.chunkAt(t).to.zone())<<zoneBit
}

// zone returns the zone where t is most likely to be.
func (t target) zone() uint8 { return uint8(t >> zoneBit) }

// granule returns the number of t's granule, if it is not direct.
func (t target) granule() uint32 { return uint32(t >> chunkShift) }

// chunkAt returns the chunk of t, which is not direct.
func (x *Index) chunkAt(t target) *chunk { return &x.chunks[x.granules[t.granule()].chunk] }

// near looks t up; see look.
func (t target) near(x *Index) uint32 {
	if t&direct != 0 {
		return uint32(t)
	}
	g := &x.granules[t.granule()]
	return g.before + uint32(bits.OnesCount64(g.starts<<(^(t>>subBits)&63))) - 1
}

// span looks t up.
func (t target) span(x *Index) uint32 { return x.settleUneven(t.near(x), t) }

// addr returns the address of t, which is not direct.
func (t target) addr(x *Index) uint64 {
	c := x.chunkAt(t)
	return c.key<<chunkShift | uint64(t-c.to)&uint64(direct-1)>>(c.to&63)
}
