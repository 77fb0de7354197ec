package scanner

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sort"
)

const (
	chunkShift = 21 // log2 of the bytes in a chunk
	// A chunk with fewer spans has one bucket.
	bucketMin = 8
	// log2 of the bytes in the smallest bucket.
	minBucket = 3
	// Spans that cross more chunks are found by binary search.
	hugeChunks = 4
)

// index finds the span an address lies in: the address's chunk of 2 MiB in a
// hash table, and in that the bucket, of which there are about as many as
// spans. From the first span of a bucket it is a step or two, whatever the
// sizes are.
//
// For each object it holds 20 bytes for the span, 4 to 8 for buckets, and
// another 36 at most where an object is alone in its chunk.
type index struct {
	spans   []span   // a sentinel behind the last
	objects []uint32 // of each span
	chunks  []chunk
	shift   uint     // of the hash
	buckets []uint32 // for each bucket the first span that ends in or behind it
	huge    []uint32 // spans that are in not all of their chunks
	long    map[longKey]uint64
	multi   map[uint32][]uint32 // all spans of the objects that have several
	bands   bands
}

// chunk is an entry of the hash table.
type chunk struct {
	// key is the address's high part, and below it, in 8 bits, log2 of the
	// bytes in a bucket; zero in a free entry.
	key     uint64
	buckets uint32 // index of the first one; one more follows the last
	spans   uint32 // only while the table is made
}

func newIndex(objects []Object, wordSize int) *index {
	x := &index{}
	x.setSpans(objects)
	x.bands = x.findBands(wordSize)
	x.setChunks()
	return x
}

// setChunks builds the hash table and the buckets.
func (x *index) setChunks() {
	list := x.listChunks()
	size := 2
	for size < len(list)*2 {
		size *= 2
	}
	x.shift = uint(64 - bits.TrailingZeros(uint(size)))
	x.chunks = make([]chunk, size)
	total := 0
	for i := range list {
		c := &list[i]
		shift := uint(chunkShift)
		if c.spans >= bucketMin {
			shift = max(shift-uint(bits.Len32(c.spans)), minBucket)
		}
		c.key = c.key<<8 | uint64(shift)
		first := c.buckets // of the spans
		c.buckets, c.spans = uint32(total), first
		total += 1<<(chunkShift-shift) + 1
	}
	x.buckets = makeLarge[uint32](total, total)
	for _, c := range list {
		x.fill(c)
		h := hash(c.key>>8, x.shift)
		for x.chunks[h].key != 0 {
			h = (h + 1) & uint64(size-1)
		}
		x.chunks[h] = c
	}
}

// listChunks lists the chunks in which a span lies, with the first span in
// the place of buckets, and the number of spans.
func (x *index) listChunks() []chunk {
	var list []chunk
	enter := func(key uint64, i int) {
		if n := len(list); n > 0 && list[n-1].key == key {
			list[n-1].spans++
			return
		}
		list = append(list, chunk{key, uint32(i), 1})
	}
	for i := range x.objects {
		a, b := x.spans[i].start>>chunkShift, x.last(uint32(i))>>chunkShift
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
	return list
}

// fill fills the buckets of c, whose first span is in the place of spans.
func (x *index) fill(c chunk) {
	shift := c.key & 0xff
	b := x.buckets[c.buckets:][:1<<(chunkShift-shift)+1]
	at := c.key >> 8 << chunkShift
	i := c.spans
	for k := range b {
		for i < uint32(len(x.objects)) && x.last(i) < at {
			i++
		}
		b[k] = i
		if at += 1 << shift; at == 0 { // the end of the address space
			at = math.MaxUint64
		}
	}
}

func hash(key uint64, shift uint) uint64 { return key * 0x9e3779b97f4a7c15 >> shift }

// A bucket is an index in buckets, shifted left by 8 bits, and in those how
// far behind the bucket's start an address lies, in 256ths of its size.

// bucket returns the bucket of w. Where it says false w is in no span, unless
// in a huge one.
func (x *index) bucket(w uint64) (b uint64, ok bool) {
	key := w >> chunkShift
	h := hash(key, x.shift)
	for {
		c := &x.chunks[h]
		if c.key>>8 == key && c.key != 0 {
			shift := c.key & 63
			at := w & (1<<chunkShift - 1)
			return uint64(c.buckets)<<8 + at<<8>>shift, true
		}
		if c.key == 0 {
			return 0, false
		}
		h = (h + 1) & uint64(len(x.chunks)-1)
	}
}

// guess returns a span from which it is not far to that of an address in
// bucket b. Spans in one bucket, if many, are as good as evenly spaced.
func (x *index) guess(b uint64) uint32 {
	p := x.buckets[b>>8:][:2]
	return p[0] + uint32(b&255*uint64(p[1]-p[0])>>8)
}

// findHuge finds the span of w in a chunk that has no buckets.
func (x *index) findHuge(w uint64) (uint32, bool) {
	i := sort.Search(len(x.huge), func(i int) bool { return x.spans[x.huge[i]].start > w })
	if i == 0 {
		return 0, false
	}
	huge := x.huge[i-1]
	return huge, w <= x.last(huge)
}

// settle finds the span of w from a guess.
func (x *index) settle(w uint64, i uint32) (uint32, bool) {
	spans := x.spans
	for spans[i].start > w && i > 0 {
		i--
	}
	// Mostly it is this span or the next, as if by the toss of a coin.
	if spans[i+1].start <= w {
		i++
	}
	for spans[i+1].start <= w { // the sentinel's start is never reached
		i++
	}
	s := &spans[i]
	if size := uint64(s.size &^ special); w-s.start < size {
		return i, true
	} else if size < longSpan || w < s.start {
		return 0, false
	}
	return i, w <= x.last(i)
}

// find returns the span of w.
func (x *index) find(w uint64) (uint32, bool) {
	if w == math.MaxUint64 {
		return 0, false
	}
	if b, ok := x.bucket(w); ok {
		return x.settle(w, x.guess(b))
	}
	return x.findHuge(w)
}

// spansOf returns all spans of the object of span i, the lowest first: that
// one stands for the object.
func (x *index) spansOf(i uint32) []uint32 {
	if x.spans[i].size&special != 0 {
		if m := x.multi[x.objects[i]]; m != nil {
			return m
		}
	}
	return []uint32{i}
}

// primary returns the span that stands for the object of span i.
func (x *index) primary(i uint32) uint32 {
	if x.spans[i].size&special != 0 {
		if m := x.multi[x.objects[i]]; m != nil {
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
	gap := func(i int) uint64 { return spans[i].start - x.last(uint32(i-1)) }
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
		b.b[k].n = min(x.last(uint32(next-1)), top-1) - b.b[k].lo + 1
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
