package scanner

// loops are what is run for each word that may be a pointer: four short loops,
// which have been written for some CPUs by hand.
type loops struct {
	scatter scatter
	sift    sift
	look    look
	mark    mark
}

// setPlainLoops has no hand-written loop used.
func (f *format) setPlainLoops() { f.loops = loops{f.plainScatter, plainSift, plainLook, plainMark} }

// scatter puts the targets of the words of b at offs into the boxes of their
// zones. It ends behind one with which a box is full, or before one whose chunk
// is not where it is expected first, and returns how many it has done and the
// zone of that box, or -1. For each it has another line of what is ahead, which
// is read next, fetched meanwhile.
type scatter func(o *outbox, x *Index, b []byte, offs []uint32, ahead []byte) (n, zone int)

func (f *format) plainScatter(o *outbox, x *Index, b []byte, offs []uint32, _ []byte) (n, zone int) {
	for i, off := range offs {
		word := f.word(b[off:])
		key := word >> chunkShift
		c := &x.table[x.slot(key)]
		if c.key != key {
			return i, -1
		}
		if zone, n := o.put(c.target(word)); n == boxTargets {
			return i + 1, int(zone)
		}
	}
	return len(offs), -1
}

// sift puts the offsets from offs, of words behind the at-th byte of chunk c,
// into to where they are in objects that have been reached, else into others. It
// returns how many these are.
type sift func(states []state, x *Index, c *chunk, at uint32, to, offs []uint32, others *[boxTargets]uint32) (n, rest int)

func plainSift(states []state, x *Index, c *chunk, at uint32, to, offs []uint32, others *[boxTargets]uint32) (n, rest int) {
	for _, off := range offs {
		span := c.target(uint64(at + off)).near(x)
		if span&uneven == 0 {
			if s := &states[span>>6]; (s.reached&^x.gaps[span>>6])>>(span&63)&1 != 0 {
				to[n] = off
				n++
				continue
			}
		}
		others[rest] = off
		rest++
	}
	return n, rest
}

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
		spans[n] = span
		n += states[span>>6].mark(span)
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
