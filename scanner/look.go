package scanner

// loops are what is run for each word that may be a pointer: four short loops,
// which have been written for some CPUs by hand.
type loops struct {
	aim     aim
	scatter scatter // or nil
	look    look
	mark    mark
}

// setPlainLoops has no hand-written loop used.
func (f *format) setPlainLoops() { f.loops = loops{aim: f.plainAim, look: plainLook, mark: plainMark} }

// aim finds what the words of b, at h.off from i to end, point to, and puts it
// into h.to from n on, and there the offsets too. It ends before one whose chunk
// is not where it is expected first, and returns i and n.
type aim func(h *hits, x *Index, b []byte, i, n, end int) (i2, n2 int)

func (f *format) plainAim(h *hits, x *Index, b []byte, i, n, end int) (i2, n2 int) {
	table, shift := x.table, x.shift&63
	for ; i < end; i++ {
		off := h.off[i]
		word := f.word(b[off:])
		key := word >> chunkShift
		s := &table[key*hashFactor>>shift]
		if s.key != key {
			break
		}
		h.off[n], h.to[n] = off, s.to|target(word&(1<<chunkShift-1))
		n++
	}
	return i, n
}

// scatter puts the targets of the words of b at offs into the boxes of their
// zones. It ends behind one with which a box is full, or before one whose chunk
// is not where it is expected first, and returns how many it has done and the
// zone of that box, or -1. For each it has another line of what is ahead, which
// is read next, fetched meanwhile.
type scatter func(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)

// look looks targets up, as many as there are spans to put. Where a span comes
// out with the bit uneven it is that one or one behind it; see settleUneven.
type look func(x *Index, targets []target, spans []uint32)

func plainLook(x *Index, targets []target, spans []uint32) {
	for i, t := range targets[:len(spans)] {
		spans[i] = t.near(x)
	}
}

// mark marks spans from the i-th on as reached, and keeps, from the n-th on,
// those that were not and for which there is more to be done. It ends before one
// that is not in [first, first+size), and returns i and n.
type mark func(states []state, spans []uint32, first, size uint32, i, n int) (i2, n2 int)

func plainMark(states []state, spans []uint32, first, size uint32, i, n int) (i2, n2 int) {
	for ; i < len(spans); i++ {
		span := spans[i]
		if span-first >= size {
			break
		}
		s := &states[span>>6]
		spans[n] = span
		n += int(s.more &^ s.reached >> (span & 63) & 1)
		s.reached |= 1 << (span & 63)
	}
	return i, n
}

// settleUneven returns the span that t is in, which was looked up as i.
func (x *Index) settleUneven(i uint32, t target) uint32 {
	if i&uneven == 0 {
		return i
	}
	return x.walk(t.addr(x), i&^uneven)
}
