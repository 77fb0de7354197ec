package scanner

import "math/bits"

// A target is what a word points to, not yet looked up: the number of an
// address's chunk, in 32 bits, and below it the address's low bits, which are
// chunkShift; or, with the bit direct, a span. Above these is the zone where it
// is most likely to be.
type target uint64

const (
	direct  target = 1 << (chunkShift + 32)
	zoneBit        = 56
)

// target returns that of a word; ok is false where it points to no object.
func (x *Index) target(w uint64) (_ target, ok bool) {
	if c, ok := x.chunkOf(w); ok {
		return c | target(w&(1<<chunkShift-1)), true
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
	return t | target(x.chunks[t.chunk()].zone())<<zoneBit
}

// zone returns the zone where t is most likely to be.
func (t target) zone() uint8 { return uint8(t >> zoneBit) }

// chunk returns the number of t's chunk, if it is not direct.
func (t target) chunk() uint32 { return uint32(t >> chunkShift) }

// near looks t up; see look.
func (t target) near(x *Index) uint32 {
	if t&direct != 0 {
		return uint32(t)
	}
	c := &x.chunks[t.chunk()]
	unit := uint64(t) & (1<<chunkShift - 1) >> c.unit()
	g := &x.granules[c.granule()+uint32(unit>>unitBits)]
	return g.before + uint32(bits.OnesCount64(g.starts<<(^unit&63))) - 1
}

// span looks t up.
func (t target) span(x *Index) uint32 { return x.settleUneven(t.near(x), t) }

// addr returns the address of t, which is not direct.
func (t target) addr(x *Index) uint64 {
	return x.chunks[t.chunk()].key<<chunkShift | uint64(t)&(1<<chunkShift-1)
}
