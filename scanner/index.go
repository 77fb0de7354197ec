package scanner

import (
	"math"
	"math/bits"
	"sort"
	"sync"
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
	several bool                // some object may have other than one span
	multi   map[uint32][]uint32 // all spans of the objects that have several
	bands   bands
	mu      sync.Mutex // of long
}

// chunk is an entry of the hash table.
type chunk struct {
	// key is the address's high part, and below it, in 8 bits, log2 of the
	// bytes in a bucket; zero in a free entry.
	key     uint64
	buckets uint32 // index of the first one; one more follows the last
	spans   uint32 // only while the table is made
}

func newIndex(objects []Object, wordSize, workers int) *index {
	x := &index{}
	x.setSpans(objects, workers)
	x.bands = x.findBands(wordSize, workers)
	x.setChunks(workers)
	return x
}

// setChunks builds the hash table and the buckets.
func (x *index) setChunks(workers int) {
	list := x.listChunks(workers)
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
	shares(workers, total, func(_, lo, hi int) {
		first := sort.Search(len(list), func(i int) bool { return int(list[i].buckets) >= lo })
		for ; first < len(list) && int(list[first].buckets) < hi; first++ {
			x.fill(list[first])
		}
	})
	for _, c := range list {
		h := hash(c.key>>8, x.shift)
		for x.chunks[h].key != 0 {
			h = (h + 1) & uint64(size-1)
		}
		x.chunks[h] = c
	}
}

// listChunks lists the chunks in which a span lies, with the first span in
// the place of buckets, and the number of spans.
func (x *index) listChunks(workers int) []chunk {
	lists, huge := make([][]chunk, workers), make([][]uint32, workers)
	shares(workers, len(x.objects), func(part, lo, hi int) {
		var list []chunk
		for i := uint32(lo); i < uint32(hi); i++ {
			a, b := x.spans[i].start>>chunkShift, x.last(i)>>chunkShift
			list = enter(list, chunk{a, i, 1})
			if b-a > hugeChunks {
				huge[part] = append(huge[part], i)
				a = b - 1
			}
			for a < b {
				a++
				list = enter(list, chunk{a, i, 1})
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
func enter(list []chunk, c chunk) []chunk {
	if n := len(list); n > 0 && list[n-1].key == c.key {
		list[n-1].spans += c.spans
		return list
	}
	return append(list, c)
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
