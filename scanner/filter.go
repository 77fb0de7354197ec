package scanner

import (
	"encoding/binary"
	"math/bits"
)

// blockWords is how many words a filter looks at in one call, at most.
const blockWords = 4096

// hits are words that may point into an object.
type hits struct {
	off [maxHits]uint32 // of each word, in bytes from the start of what is read
	n   int
	masks
}

const (
	// batch is how many hits make it worth while to look at them.
	batch = 1024
	// maxHits leaves room for what a filter may write behind the last.
	maxHits = batch + blockWords + 64
)

// masks are a vector filter's answer: bit i%64 of masks[i/64] for word i.
type masks [blockWords / 64]uint64

// filter appends the offsets of the words of b that lie in one of the bands,
// that of the first being off. b holds whole words, at most blockWords.
type filter func(h *hits, b []byte, off uint32, f *bands)

// A format is a word size and a byte order: what is chosen once, outside all
// loops.
type format struct {
	size   uint64 // of a word in bytes
	shift  uint   // log2 of size
	big    bool
	filter filter
	loops
}

func newFormat(in *Input) format {
	f := format{size: uint64(in.WordSize), shift: 3, big: in.Order.Uint16([]byte{0, 1}) == 1}
	if f.size == 4 {
		f.shift = 2
	}
	if f.filter = f.fastFilter(); f.filter == nil {
		f.filter = f.plainFilter()
	}
	f.setLoops()
	return f
}

// kind numbers the formats, as their filters are listed.
func (f *format) kind() int {
	k := int(3-f.shift) << 1
	if f.big {
		k++
	}
	return k
}

func (f *format) plainFilter() filter {
	return [...]filter{filter64LE, filter64BE, filter32LE, filter32BE}[f.kind()]
}

// word reads the word at the start of b.
func (f *format) word(b []byte) uint64 {
	if f.size == 8 {
		if w := binary.LittleEndian.Uint64(b); !f.big {
			return w
		} else {
			return bits.ReverseBytes64(w)
		}
	}
	w := binary.LittleEndian.Uint32(b)
	if f.big {
		w = bits.ReverseBytes32(w)
	}
	return uint64(w)
}

// in is 1 where w lies in one of the bands; it has no branch, since which
// words do is as good as random.
func (f *bands) in(w uint64) uint64 {
	var a, b, c uint64
	if w-f.b[0].lo < f.b[0].n {
		a = 1
	}
	if w-f.b[1].lo < f.b[1].n {
		b = 1
	}
	if w-f.b[2].lo < f.b[2].n {
		c = 1
	}
	return a | b | c
}

// add appends off if hit is 1, and needs no branch for it.
func (h *hits) add(off uint32, hit uint64) {
	h.off[h.n] = off
	h.n += int(hit)
}

// The four loops below differ in one expression each.

func filter64LE(h *hits, b []byte, off uint32, f *bands) {
	for ; len(b) >= 8; b, off = b[8:], off+8 {
		w := binary.LittleEndian.Uint64(b)
		h.add(off, f.in(w))
	}
}

func filter64BE(h *hits, b []byte, off uint32, f *bands) {
	for ; len(b) >= 8; b, off = b[8:], off+8 {
		w := binary.BigEndian.Uint64(b)
		h.add(off, f.in(w))
	}
}

func filter32LE(h *hits, b []byte, off uint32, f *bands) {
	for ; len(b) >= 4; b, off = b[4:], off+4 {
		w := uint64(binary.LittleEndian.Uint32(b))
		h.add(off, f.in(w))
	}
}

func filter32BE(h *hits, b []byte, off uint32, f *bands) {
	for ; len(b) >= 4; b, off = b[4:], off+4 {
		w := uint64(binary.BigEndian.Uint32(b))
		h.add(off, f.in(w))
	}
}
