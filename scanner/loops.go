package scanner

import (
	"math/bits"
	"sync/atomic"
)

// loops are three short loops, two over words that may be pointers and one over
// granules, which have been written for some CPUs by hand.
type loops struct {
	set    set
	sift   sift
	spread spread
}

// setPlainLoops has no hand-written loop used.
func (f *format) setPlainLoops() { f.loops = loops{f.plainSet, plainSift, plainSpread} }

// set marks the units that the words of b at offs point to. It ends before a word
// whose chunk is rough, or not where it is expected first, and returns how many it
// has done: at most setWords, for which there is room in units. Nobody else may
// write to marks, but others may read them.
type set func(marks []uint64, x *Index, b []byte, offs []uint32, units *[setWords]uint64) int

const setWords = 256

func (f *format) plainSet(marks []uint64, x *Index, b []byte, offs []uint32, _ *[setWords]uint64) int {
	for i, off := range offs {
		word := f.word(b[off:])
		key := word >> chunkShift
		c := &x.table[x.slot(key)]
		if c.key != key {
			return i
		}
		orBit(marks, c.unit(word))
	}
	return len(offs)
}

// orBit sets bit i, which others may read meanwhile.
func orBit(set []uint64, i uint64) {
	p := &set[i>>6]
	atomic.StoreUint64(p, atomic.LoadUint64(p)|1<<(i&63))
}

// sift puts the offsets from offs, of words behind the at-th byte of chunk c,
// into to where they are in objects that have been reached, else into others. It
// returns how many these are.
type sift func(states []state, x *Index, c *chunk, at uint32, to, offs []uint32, others *[siftWords]uint32) (n, rest int)

// siftWords are sifted in one call, at most.
const siftWords = 128

func plainSift(states []state, x *Index, c *chunk, at uint32, to, offs []uint32, others *[siftWords]uint32) (n, rest int) {
	for _, off := range offs {
		i := x.spanOf(c.unit(uint64(at + off)))
		if i&uneven == 0 {
			if s := &states[i>>6]; (s.reached&^x.gaps[i>>6])>>(i&63)&1 != 0 {
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

// spread sets in found, where bit i is for span base+i, the spans of the units
// that are marked in granules. Granules whose first unit is in none of the spans
// for which all but the last word of found are have no mark that counts.
type spread func(granules []granule, marks, found []uint64, base uint32)

func plainSpread(granules []granule, marks, found []uint64, base uint32) {
	for k := range granules {
		g := &granules[k]
		first := g.before - 1 + uint32(g.starts&1) - base
		set := atomic.LoadUint64(&marks[k])
		if set == 0 || first >= uint32(len(found)-1)*64 {
			continue
		}
		for set != 0 {
			unit := bits.TrailingZeros64(set)
			i := g.before - 1 + uint32(bits.OnesCount64(g.starts<<(63-unit))) - base
			found[i>>6] |= 1 << (i & 63)
			// Go on where the next span starts.
			next := g.starts & (^uint64(1) << unit)
			set &= next | -next
		}
	}
}
