package scanner

import (
	"encoding/binary"
	"math/bits"
)

// blockWords is how many words a filter looks at in one call, at most.
const blockWords = 2048

// masks are a filter's answer: bit i%64 of masks[i/64] for word i.
type masks [blockWords / 64]uint64

// filter sets the bits of the words of b that lie in one of the bands, and
// clears those of the others up to the next multiple of 64. b holds whole
// words, at most blockWords.
type filter func(m *masks, b []byte, f *bands)

// A format is a word size and a byte order: what is chosen once, outside all
// loops.
type format struct {
	size   uint64 // of a word in bytes
	shift  uint   // log2 of size
	big    bool
	filter filter
}

func newFormat(in *Input) format {
	f := format{size: uint64(in.WordSize), shift: 3, big: in.Order.Uint16([]byte{0, 1}) == 1}
	switch {
	case f.size == 8 && f.big:
		f.filter = filter64BE
	case f.size == 8:
		f.filter = filter64LE
	case f.big:
		f.shift, f.filter = 2, filter32BE
	default:
		f.shift, f.filter = 2, filter32LE
	}
	if fast := fastFilter(f.size, f.big); fast != nil {
		f.filter = fast
	}
	return f
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

// The four loops below differ in one expression each.

func filter64LE(m *masks, b []byte, f *bands) {
	for k := 0; len(b) >= 8; k++ {
		bit := uint64(0)
		i := 0
		for ; i < 64 && len(b) >= 8; i++ {
			bit |= f.in(binary.LittleEndian.Uint64(b)) << i
			b = b[8:]
		}
		m[k] = bit
	}
}

func filter64BE(m *masks, b []byte, f *bands) {
	for k := 0; len(b) >= 8; k++ {
		bit := uint64(0)
		for i := 0; i < 64 && len(b) >= 8; i++ {
			bit |= f.in(binary.BigEndian.Uint64(b)) << i
			b = b[8:]
		}
		m[k] = bit
	}
}

func filter32LE(m *masks, b []byte, f *bands) {
	for k := 0; len(b) >= 4; k++ {
		bit := uint64(0)
		for i := 0; i < 64 && len(b) >= 4; i++ {
			bit |= f.in(uint64(binary.LittleEndian.Uint32(b))) << i
			b = b[4:]
		}
		m[k] = bit
	}
}

func filter32BE(m *masks, b []byte, f *bands) {
	for k := 0; len(b) >= 4; k++ {
		bit := uint64(0)
		for i := 0; i < 64 && len(b) >= 4; i++ {
			bit |= f.in(uint64(binary.BigEndian.Uint32(b))) << i
			b = b[4:]
		}
		m[k] = bit
	}
}
