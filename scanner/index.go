package scanner

import (
	"cmp"
	"math/bits"
	"slices"
	"sort"
)

const (
	pageShift  = 12 // of the index's pages, whatever the guest's are
	chunkShift = 21
	chunkPages = 1 << (chunkShift - pageShift)
	// A chunk with fewer spans has no table of pages.
	blockMin = 128
	// Spans that cross more chunks are found by binary search.
	hugeChunks = 4
)

// index finds the span an address lies in: the address's chunk in a hash
// table, in the chunk's block the spans of the page, and among those one by
// interpolation, since the objects of a slab page are equally large.
//
// For each object it holds 16 bytes for the span, about as much for a chunk
// entry where an object is alone in its chunk, and up to 16 bytes' share of a
// block.
type index struct {
	spans  []span // a sentinel behind the last
	chunks []chunk
	shift  uint     // of the hash
	blocks []uint32 // chunkPages+1 for each block
	huge   []uint32 // spans that are in not all of their chunks
	long   map[longKey]uint64
	multi  map[uint32][]uint32 // all spans of the objects that have several
	bands  bands
}

// chunk is an entry of the hash table.
type chunk struct {
	key   uint64 // address >> chunkShift
	first uint32 // span; noObject for a free entry
	block int32  // index of the block, or minus the number of spans
}

func newIndex(objects []Object, wordSize int) *index {
	x := &index{}
	x.setSpans(objects)
	x.bands = x.findBands(wordSize)
	x.setChunks()
	return x
}

// setChunks builds the hash table and the blocks.
func (x *index) setChunks() {
	var list []chunk // block is the number of spans, for now
	enter := func(key uint64, i int) {
		if n := len(list); n > 0 && list[n-1].key == key {
			list[n-1].block++
			return
		}
		list = append(list, chunk{key, uint32(i), 1})
	}
	for i, s := range x.spans[:len(x.spans)-1] {
		a, b := s.start>>chunkShift, x.last(s)>>chunkShift
		enter(a, i)
		if b-a > hugeChunks {
			x.huge = append(x.huge, uint32(i))
			a = b - 1
		}
		for a < b {
			a++
			enter(a, i)
		}
	}
	size := 2
	for size < len(list)*2 {
		size *= 2
	}
	x.shift = uint(64 - bits.TrailingZeros(uint(size)))
	x.chunks = make([]chunk, size)
	for i := range x.chunks {
		x.chunks[i].first = noObject
	}
	blocks := 0
	for _, c := range list {
		if c.block >= blockMin {
			blocks++
		}
	}
	x.blocks = make([]uint32, 0, blocks*(chunkPages+1))
	for _, c := range list {
		if c.block >= blockMin {
			c.block = x.addBlock(c)
		} else {
			c.block = -c.block
		}
		h := hash(c.key, x.shift)
		for x.chunks[h].first != noObject {
			h = (h + 1) & uint64(size-1)
		}
		x.chunks[h] = c
	}
}

// addBlock appends the block of c: for each page the first span that ends
// behind the page's start, and the same for the page behind the last.
func (x *index) addBlock(c chunk) int32 {
	n := int32(len(x.blocks) / (chunkPages + 1))
	i, end := c.first, c.first+uint32(c.block)
	at := c.key << chunkShift
	for range chunkPages + 1 {
		for i < end && x.last(x.spans[i]) < at {
			i++
		}
		x.blocks = append(x.blocks, i)
		at += 1 << pageShift // to zero at the end of the address space:
		if at == 0 {
			i = end
		}
	}
	return n
}

func hash(key uint64, shift uint) uint64 { return key * 0x9e3779b97f4a7c15 >> shift }

// locate says which spans w can be in: [lo, hi], and the likeliest of them.
// hi may be the sentinel.
func (x *index) locate(w uint64) (guess, lo, hi uint32, ok bool) {
	key := w >> chunkShift
	mask := uint64(len(x.chunks) - 1)
	for h := hash(key, x.shift); ; h = (h + 1) & mask {
		c := &x.chunks[h]
		if c.first == noObject {
			return x.locateHuge(w)
		}
		if c.key != key {
			continue
		}
		if c.block < 0 {
			n := uint32(-c.block)
			g := uint32((w & (1<<chunkShift - 1)) * uint64(n) >> chunkShift)
			return c.first + g, c.first, c.first + n - 1, true
		}
		b := x.blocks[int(c.block)*(chunkPages+1)+int(w>>pageShift&(chunkPages-1)):][:2]
		lo, hi := b[0], b[1]
		g := uint32((w & (1<<pageShift - 1)) * uint64(hi-lo) >> pageShift)
		return lo + g, lo, hi, true
	}
}

func (x *index) locateHuge(w uint64) (guess, lo, hi uint32, ok bool) {
	if len(x.huge) == 0 {
		return 0, 0, 0, false
	}
	i := sort.Search(len(x.huge), func(i int) bool { return x.spans[x.huge[i]].start > w })
	if i == 0 {
		return 0, 0, 0, false
	}
	i--
	return x.huge[i], x.huge[i], x.huge[i], true
}

// settle finds the span of w among those that locate named.
func (x *index) settle(w uint64, i, lo, hi uint32) (uint32, bool) {
	for i > lo && x.spans[i].start > w {
		i--
	}
	for i < hi && x.spans[i+1].start <= w {
		i++
	}
	s := &x.spans[i]
	if w < s.start {
		return 0, false
	}
	if size := s.size &^ special; w-s.start < uint64(size) {
		return i, true
	} else if size < longSpan {
		return 0, false
	}
	return i, w <= x.last(*s)
}

// find returns the span of w.
func (x *index) find(w uint64) (uint32, bool) {
	guess, lo, hi, ok := x.locate(w)
	if !ok {
		return 0, false
	}
	return x.settle(w, guess, lo, hi)
}

// spansOf returns all spans of the object of span i, the lowest first: that
// one stands for the object.
func (x *index) spansOf(i uint32) []uint32 {
	if x.spans[i].size&special != 0 {
		if m := x.multi[x.spans[i].obj]; m != nil {
			return m
		}
	}
	return []uint32{i}
}

// primary returns the span that stands for the object of span i.
func (x *index) primary(i uint32) uint32 {
	if x.spans[i].size&special != 0 {
		if m := x.multi[x.spans[i].obj]; m != nil {
			return m[0]
		}
	}
	return i
}

// bands are up to three ranges of addresses outside which no object lies: a
// word w is in one where w-lo < n. An unused band has n zero.
type bands struct {
	b [3]struct{ lo, n uint64 }
	// vec is the same for vectors with signed comparison, for each band what
	// to add and the limit, in each lane (filter_amd64.s knows the layout).
	vec [6][4]uint64
}

// findBands cuts the spans at their widest gaps. Outside is the last address
// of the guest's address space, so that no length overflows: no Range of a
// 64-bit guest can hold it either.
func (x *index) findBands(wordSize int) bands {
	top := ^uint64(0)
	if wordSize == 4 {
		top = 1<<32 - 1
	}
	spans := x.spans[:len(x.spans)-1]
	spans = spans[:sort.Search(len(spans), func(i int) bool { return spans[i].start >= top })]
	var b bands
	cuts := make([]int, 0, len(b.b)) // spans that begin a band, without the first
	gap := func(i int) uint64 { return spans[i].start - x.last(spans[i-1]) }
	for i := 1; i < len(spans); i++ {
		switch {
		case len(cuts) < len(b.b)-1:
			cuts = append(cuts, i)
		case gap(i) > gap(cuts[len(cuts)-1]):
			cuts[len(cuts)-1] = i
		default:
			continue
		}
		slices.SortFunc(cuts, func(i, j int) int { return cmp.Compare(gap(j), gap(i)) })
	}
	slices.Sort(cuts)
	if len(spans) > 0 {
		cuts = append(cuts, len(spans))
	}
	first := 0
	for k, next := range cuts {
		b.b[k].lo = spans[first].start
		b.b[k].n = min(x.last(spans[next-1]), top-1) - b.b[k].lo + 1
		first = next
	}
	for k, r := range b.b {
		// Flipping the top bit turns unsigned order into signed order.
		add, limit := 1<<63-r.lo, r.n^1<<63
		if wordSize == 4 {
			add, limit = uint64(uint32(1<<31-r.lo)), uint64(uint32(r.n^1<<31))
			add, limit = add|add<<32, limit|limit<<32
		}
		for lane := range b.vec[0] {
			b.vec[2*k][lane], b.vec[2*k+1][lane] = add, limit
		}
	}
	return b
}
