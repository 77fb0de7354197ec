package liveset

import (
	"iter"
	"math/rand/v2"

	"github.com/leakvisor/leakvisor/guestmem"
)

const (
	chunkShift  = 10 // log2 of the records in a chunk
	slotBits    = 11 // log2 of the slots in a segment
	printBits   = 16 - slotBits
	segmentMax  = 7 << (slotBits - 3)
	segmentMask = 1<<slotBits - 1
)

// Set holds at most one record for an address. It is not safe for concurrent
// use. Pointers to its records are valid until the next Put or Remove.
type Set[R any] struct {
	extent func(*R) (guestmem.GVA, uint64)
	seed   uint64 // so that no guest can choose addresses that collide
	chunks [][]R
	n      int
	dir    []*segment // 1<<depth of them, by the topmost bits of the hash
	depth  uint
}

// segment is an open-addressing table of record numbers.
type segment struct {
	depth uint // topmost bits of the hash that are the same for all in it
	n     int
	slots [1 << slotBits]slot
}

// slot has, besides the number of a record, so much of its hash that records need
// not be looked at to pass them by, or to move them: each is a miss in the cache.
type slot struct {
	tag    tag
	lo, hi uint16 // of the record's number: a slot has 6 bytes
}

// tag is the slot of its segment that a record's hash leads to, above some other
// bits of the hash. That of a free slot is zero, of no other.
type tag uint16

func tagOf(hash uint64) tag {
	return tag(hash&segmentMask<<printBits | hash>>slotBits&(1<<printBits-1) | 1)
}

// home returns the slot that the hash leads to.
func (t tag) home() uint32 { return uint32(t >> printBits) }

func newSlot(t tag, record uint32) slot { return slot{t, uint16(record), uint16(record >> 16)} }

func (s *slot) record() uint32 { return uint32(s.lo) | uint32(s.hi)<<16 }

// New returns an empty set. extent tells where a record's allocation starts,
// which is its key, and its size in bytes.
func New[R any](extent func(*R) (start guestmem.GVA, size uint64)) *Set[R] {
	return &Set[R]{extent: extent, seed: rand.Uint64(), dir: []*segment{{}}}
}

// Len returns the number of records.
func (s *Set[R]) Len() int { return s.n }

func (s *Set[R]) hash(a guestmem.GVA) uint64 {
	h := uint64(a) ^ s.seed // mixed as MurmurHash3 finishes
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func (s *Set[R]) record(i uint32) *R { return &s.chunks[i>>chunkShift][i&(1<<chunkShift-1)] }

func (s *Set[R]) key(i uint32) guestmem.GVA {
	a, _ := s.extent(s.record(i))
	return a
}

// find returns the segment of hash h and the slot of address a in it, or the
// free slot where it belongs.
func (s *Set[R]) find(a guestmem.GVA, h uint64) (g *segment, at uint32) {
	g = s.dir[h>>(64-s.depth)]
	t := tagOf(h)
	for at = t.home(); ; at = (at + 1) & segmentMask {
		if v := &g.slots[at]; v.tag == 0 || v.tag == t && s.key(v.record()) == a {
			return g, at
		}
	}
}

// Get returns the record of the allocation that starts at a, or nil.
func (s *Set[R]) Get(a guestmem.GVA) *R {
	g, at := s.find(a, s.hash(a))
	if g.slots[at].tag == 0 {
		return nil
	}
	return s.record(g.slots[at].record())
}

// Put adds r, and returns the record it takes the place of, if any.
func (s *Set[R]) Put(r R) (old R, replaced bool) {
	a, _ := s.extent(&r)
	h := s.hash(a)
	g, at := s.find(a, h)
	if v := &g.slots[at]; v.tag != 0 {
		p := s.record(v.record())
		old, *p = *p, r
		return old, true
	}
	for g.n >= segmentMax {
		s.split(g, h)
		g, at = s.find(a, h)
	}
	if s.n>>chunkShift == len(s.chunks) {
		s.chunks = append(s.chunks, make([]R, 1<<chunkShift))
	}
	*s.record(uint32(s.n)) = r
	g.slots[at] = newSlot(tagOf(h), uint32(s.n))
	s.n++
	g.n++
	return old, false
}

// Remove deletes the record of the allocation that starts at a and returns
// it.
func (s *Set[R]) Remove(a guestmem.GVA) (old R, found bool) {
	g, at := s.find(a, s.hash(a))
	if g.slots[at].tag == 0 {
		return old, false
	}
	i := g.slots[at].record()
	old = *s.record(i)
	g.free(at)
	// The last record moves into the gap.
	s.n--
	last := uint32(s.n)
	if i != last {
		k := s.key(last)
		g, at := s.find(k, s.hash(k))
		g.slots[at] = newSlot(g.slots[at].tag, i)
		*s.record(i) = *s.record(last)
	}
	var zero R
	*s.record(last) = zero
	if keep := s.n>>chunkShift + 2; keep < len(s.chunks) {
		s.chunks[len(s.chunks)-1] = nil
		s.chunks = s.chunks[:len(s.chunks)-1]
	}
	return old, true
}

// free frees a slot and moves up what probing would no longer find.
func (g *segment) free(at uint32) {
	g.n--
	for next := at; ; {
		g.slots[at] = slot{}
		for {
			next = (next + 1) & segmentMask
			v := g.slots[next]
			if v.tag == 0 {
				return
			}
			// v may move to at unless its home lies behind that.
			if (next-v.tag.home())&segmentMask >= (next-at)&segmentMask {
				g.slots[at] = v
				at = next
				break
			}
		}
	}
}

// split divides segment g, to which hash h belongs.
func (s *Set[R]) split(g *segment, h uint64) {
	if g.depth == s.depth {
		dir := make([]*segment, 2*len(s.dir))
		for i, g := range s.dir {
			dir[2*i], dir[2*i+1] = g, g
		}
		s.dir, s.depth = dir, s.depth+1
	}
	depth := g.depth + 1
	parts := [2]*segment{{depth: depth}, {depth: depth}}
	for _, v := range g.slots {
		if v.tag == 0 {
			continue
		}
		h := s.hash(s.key(v.record()))
		p := parts[h>>(64-depth)&1]
		at := v.tag.home()
		for p.slots[at].tag != 0 {
			at = (at + 1) & segmentMask
		}
		p.slots[at] = v
		p.n++
	}
	// The directory's entries of g are neighbours.
	span := len(s.dir) >> depth
	first := int(h>>(64-s.depth)) &^ (2*span - 1)
	for i := range 2 * span {
		s.dir[first+i] = parts[i/span]
	}
}

// All visits all records, in no order that means anything but the same in
// each run with the same calls.
func (s *Set[R]) All() iter.Seq[*R] {
	return func(yield func(*R) bool) {
		for i := range s.n {
			if !yield(s.record(uint32(i))) {
				return
			}
		}
	}
}
