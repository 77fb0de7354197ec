package scanner

import "math/bits"

// look looks targets up, as many as there are spans to put. Where a span comes
// out with the bit uneven it is that one or one behind it; see settleUneven.
type look func(x *Index, targets []target, spans []uint32)

func plainLook(x *Index, targets []target, spans []uint32) {
	chunks, granules := x.chunks, x.granules
	for i, t := range targets[:len(spans)] {
		if t&direct != 0 {
			spans[i] = uint32(t)
			continue
		}
		place := chunks[t.chunk()].place
		unit := uint64(t) & (1<<chunkShift - 1) >> (place & 63)
		g := &granules[uint32(place>>8)+uint32(unit>>unitBits)]
		spans[i] = g.before + uint32(bits.OnesCount64(g.starts<<(^unit&63))) - 1
	}
}

// scatter puts the targets of the words of b at offs into the boxes of their
// zones. It ends behind one with which a box is full, or before one whose chunk
// is not where it is expected first, and returns how many it has done and the
// zone of that box, or -1. For each it has another line of what is ahead, which
// is read next, fetched meanwhile.
type scatter func(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)

// settleUneven returns the span that t is in, which was looked up as i.
func (x *Index) settleUneven(i uint32, t target) uint32 {
	if i&uneven == 0 {
		return i
	}
	return x.walk(t.addr(x), i&^uneven)
}
