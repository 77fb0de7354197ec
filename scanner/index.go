package scanner

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"sort"
)

const (
	chunkShift = 21 // log2 of the bytes in a chunk
	// A chunk in which fewer spans lie has one granule.
	granuleMin = 8
	// A granule is described unit by unit, one bit for each.
	unitBits = 6 // log2 of the units in a granule
	// Spans that cross more chunks are found by binary search.
	hugeChunks = 4
	// maxPlain is the size in bytes from which an object is treated by itself.
	maxPlain = 1 << 16
)

// Index finds the object that an address lies in. It is made of the objects'
// addresses, sizes, flags, copies, parts and layout numbers, which must not
// change afterwards, and can serve several scans; it may be used by several
// goroutines.
//
// The address space is cut into spans, each of which belongs to one object or
// is a gap between objects: whatever a word points to is a span, and that it
// points to nothing is seen as late as that it points to something known. The
// chunk of 2 MiB of an address is found in a hash table, and says which unit it is
// in: as many bytes as all in the chunk is aligned to, or so many more that there
// are about as many granules, of 64 units, as spans. A bit for each unit says that
// a span starts there, and how many bits there are up to a unit is which span it
// is in, without a look at the spans themselves, unless some begin or end within
// one.
//
// For each object it holds 12 bytes, as much for a gap behind it, 16 for a
// granule, and another 80 at most where an object is alone in its chunk.
type Index struct {
	objects  []Object
	wordSize int
	starts   []uint64 // of each span; MaxUint64 behind the last
	owners   []uint32 // index of each span's object, or none
	// A bit for each span: special says that its object needs more than a
	// look at the span, gaps that it has no object.
	special, gaps []uint64
	wide          []uint64 // gaps that may have pages of their own
	chunks        []chunk  // by address
	table         []chunk  // by hash
	factor        uint64   // of the hash
	shift         uint     // likewise
	granules      []granule
	regions       []uint32            // see setRegions
	huge          []uint32            // spans that are in not all of their chunks
	several       bool                // some object may have other than one span
	multi         map[uint32][]uint32 // all spans of the objects that have several
	bands         bands
	plainBytes    uint64 // in whole words of all spans that are not special
}

// draft is a chunk while the table is made.
type draft struct {
	key   uint64 // the address's high part
	first uint32 // span of an object in it
	spans uint32 // number of them
	low   uint64 // bits that are set in some start, or end
}

// unit returns log2 of the bytes in a unit: as much as all that is in the chunk is
// aligned to, or more where spans are few: so much that there are at most 2<<finer
// times as many granules as spans.
func (d *draft) unit(wordSize int, finer uint) uint {
	most := uint(chunkShift - unitBits)
	if d.spans < granuleMin {
		return most
	}
	few := most - min(uint(bits.Len32(d.spans))+finer, most)
	return min(max(few, uint(bits.TrailingZeros64(d.low)), uint(bits.TrailingZeros(uint(wordSize)))), most)
}

// granule describes 64 units. A span that starts within a unit counts to the
// next, as the first unit of which it has the first byte.
type granule struct {
	starts uint64 // bit for each unit that spans count to
	before uint32 // spans that count to units before these; the bit uneven
}

// uneven says that a span starts within a unit of the granule.
const uneven = 1 << 31

// special says whether it takes more than one span to judge o.
func (o *Object) special() bool {
	return o.Flag != 0 || o.Layout != 0 || o.Parts != nil || o.Copies != nil
}

// NewIndex makes the index of objects, on so many goroutines or, for zero, on
// one for each CPU Go may use. It errs with ErrInput as Scan does.
func NewIndex(objects []Object, wordSize, workers int) (*Index, error) {
	if wordSize != 4 && wordSize != 8 {
		return nil, errWordSize(wordSize)
	}
	n := uint64(0)
	for i := range objects {
		n += 1 + uint64(len(objects[i].Copies))
	}
	if n >= math.MaxInt32/2 {
		return nil, fmt.Errorf("%w: %d objects and copies are too many", ErrInput, n)
	}
	return newIndex(objects, wordSize, (&Options{Workers: workers}).workers()), nil
}

func errWordSize(n int) error { return fmt.Errorf("%w: words of %d bytes", ErrInput, n) }

func newIndex(objects []Object, wordSize, workers int) *Index {
	x := &Index{objects: objects, wordSize: wordSize}
	(&spanner{Index: x, workers: workers}).setSpans()
	x.bands = x.findBands(workers)
	x.setChunks(workers)
	return x
}

// setChunks builds the hash table and the granules.
func (x *Index) setChunks(workers int) {
	list := x.listChunks(workers)
	finer := uint(chunkShift - unitBits)
	for finer > 0 && x.countGranules(list, finer) > uint64(len(x.owners)) {
		finer--
	}
	total := uint64(0)
	x.chunks = make([]chunk, len(list))
	for i := range list {
		unit := list[i].unit(x.wordSize, finer)
		x.chunks[i] = newChunk(list[i].key, total, unit)
		total += granulesOf(unit)
	}
	x.granules = makeLarge[granule](int(total), int(total))
	shares(workers, int(total), func(_, lo, hi int) {
		first := sort.Search(len(list), func(i int) bool { return int(x.chunks[i].granule()) >= lo })
		for ; first < len(list) && int(x.chunks[first].granule()) < hi; first++ {
			x.fill(&x.chunks[first], list[first].first)
		}
	})
	x.setRegions()
	x.setTable()
}

// granulesOf returns how many granules a chunk has with units of so many bits.
func granulesOf(unit uint) uint64 { return 1 << (chunkShift - unitBits - unit) }

func (x *Index) countGranules(list []draft, finer uint) (n uint64) {
	for i := range list {
		n += granulesOf(list[i].unit(x.wordSize, finer))
	}
	return n
}

// setTable builds the hash table of the chunks.
func (x *Index) setTable() {
	size := 2
	for size < len(x.chunks)*2 {
		size *= 2
	}
	x.shift = uint(64 - bits.TrailingZeros(uint(size)))
	x.table = make([]chunk, size)
	// By the low bits of their keys neighbours stay neighbours, if that has no two in
	// the same place; else the golden ratio puts those of a few runs of neighbours in
	// different places, unless a guest has chosen where its objects lie so that it
	// does not: what is chosen at random it cannot know.
	factor, next := uint64(1)<<x.shift, uint64(goldenRatio)
	for most := 0; !x.enterAll(factor, most); most += len(x.chunks)/8 + 1 {
		factor, next = next, rand.Uint64()|1
	}
}

const goldenRatio = 0x9e3779b97f4a7c15 // its fraction, times 2^64

// enterAll enters the chunks into the table; it gives up when that takes more than
// so many steps from where they are expected first.
func (x *Index) enterAll(factor uint64, most int) bool {
	x.factor = factor
	for i := range x.table {
		x.table[i].key = noKey
	}
	for _, c := range x.chunks {
		h := x.slot(c.key &^ rough)
		for x.table[h].key != noKey {
			if most--; most < 0 {
				return false
			}
			h = (h + 1) & uint64(len(x.table)-1)
		}
		x.table[h] = c
	}
	return true
}

// listChunks lists the chunks in which an object's span lies.
func (x *Index) listChunks(workers int) []draft {
	lists, huge := make([][]draft, workers), make([][]uint32, workers)
	shares(workers, len(x.owners), func(part, lo, hi int) {
		var list []draft
		for i := uint32(lo); i < uint32(hi); i++ {
			if x.owners[i] == none {
				continue
			}
			a, b := x.starts[i]>>chunkShift, x.last(i)>>chunkShift
			low := x.starts[i] | x.starts[i+1]
			list = enter(list, draft{a, i, 1, low})
			if b-a > hugeChunks {
				huge[part] = append(huge[part], i)
				a = b - 1
			}
			for a < b {
				a++
				list = enter(list, draft{a, i, 1, low})
			}
		}
		lists[part] = list
	})
	for _, h := range huge {
		x.huge = append(x.huge, h...)
	}
	list := lists[0]
	for _, more := range lists[1:] {
		if len(more) > 0 {
			list = append(enter(list, more[0]), more[1:]...)
		}
	}
	return list
}

// enter adds c to a list of chunks with ascending keys.
func enter(list []draft, c draft) []draft {
	if n := len(list); n > 0 && list[n-1].key == c.key {
		list[n-1].spans += c.spans
		list[n-1].low |= c.low
		return list
	}
	return append(list, c)
}

// fill fills the granules of c, in which span i is the first of an object, and says
// whether it is rough.
func (x *Index) fill(c *chunk, i uint32) {
	shift := c.shift()
	unit := uint64(1) << shift
	at := c.start()
	// Up to those that start more than a unit before at.
	for i > 0 && (at == 0 || x.starts[i-1] > at-unit) {
		i--
	}
	for at > 0 && i < uint32(len(x.owners)) && x.starts[i] <= at-unit {
		i++
	}
	granules := x.granules[c.granule():][:1<<(chunkShift-unitBits-shift)]
	for k := range granules {
		g := granule{before: i}
		for ; i < uint32(len(x.owners)) && x.starts[i] <= at+63*unit; i++ {
			s := x.starts[i]
			if s&(unit-1) != 0 {
				g.before |= uneven
			}
			bit := uint64(1)
			if s > at {
				bit <<= (s - at + unit - 1) >> shift
			}
			g.starts |= bit
		}
		if at += unit << unitBits; i < uint32(len(x.owners)) && x.starts[i] <= at-1 {
			g.before |= uneven // in the last unit
		}
		if granules[k] = g; g.before&uneven != 0 {
			c.key |= rough
		}
	}
}

// slot returns where in the table a chunk is expected first.
func (x *Index) slot(key uint64) uint64 { return key * x.factor >> (x.shift & 63) }

// chunkOf returns the chunk of w, or nil where no object is, unless a huge one.
func (x *Index) chunkOf(w uint64) *chunk {
	key := w >> chunkShift
	h := x.slot(key)
	for {
		switch c := &x.table[h&uint64(len(x.table)-1)]; {
		case c.key&^rough == key:
			return c
		case c.key == noKey:
			return nil
		}
		h++
	}
}

// walk goes from span i, at or before w's, to w's, or to the last one.
func (x *Index) walk(w uint64, i uint32) uint32 {
	return i + uint32(gallop(x.starts[i+1:len(x.owners)], func(start *uint64) bool { return *start <= w }))
}

// findHuge finds the span of w in a chunk that has no granules.
func (x *Index) findHuge(w uint64) (uint32, bool) {
	i := sort.Search(len(x.huge), func(i int) bool { return x.starts[x.huge[i]] > w })
	if i == 0 {
		return 0, false
	}
	huge := x.huge[i-1]
	return huge, w <= x.last(huge)
}

// find returns the span of w, if it is an object's.
func (x *Index) find(w uint64) (uint32, bool) {
	if w == math.MaxUint64 {
		return 0, false
	}
	c := x.chunkOf(w)
	if c == nil {
		return x.findHuge(w)
	}
	i := x.findIn(c, w)
	return i, x.owners[i] != none
}

// last returns the last address of span i. Nothing lies behind the last address
// of all, which can be a span by itself.
func (x *Index) last(i uint32) uint64 { return max(x.starts[i+1]-1, x.starts[i]) }

// spansOf returns all spans of the object of span i, the lowest first: that
// one stands for the object.
func (x *Index) spansOf(i uint32) []uint32 {
	if has(x.special, i) {
		if m := x.multi[x.owners[i]]; m != nil {
			return m
		}
	}
	return []uint32{i}
}

// wordBytes returns how many bytes are in whole words of [start, end).
func (x *Index) wordBytes(start, end uint64) uint64 {
	mask := uint64(x.wordSize - 1)
	first, end := (start+mask)&^mask, end&^mask
	if first < start || first > end {
		return 0
	}
	return end - first
}

// primary returns the span that stands for the object of span i.
func (x *Index) primary(i uint32) uint32 {
	if has(x.special, i) {
		if m := x.multi[x.owners[i]]; m != nil {
			return m[0]
		}
	}
	return i
}

// has returns bit i.
func has(set []uint64, i uint32) bool { return set[i>>6]>>(i&63)&1 != 0 }

// setBit sets bit i.
func setBit(bits []uint64, i uint32) { bits[i>>6] |= 1 << (i & 63) }
