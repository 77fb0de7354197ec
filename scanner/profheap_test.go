package scanner

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/leakvisor/leakvisor/guestmem"
)

// classes are the sizes of objects, in bytes, as often as they occur: the
// mean is about 260, as in a busy guest's slab.
var classes = []uint64{32, 32, 64, 64, 64, 96, 128, 128, 192, 192, 192, 256, 512, 576, 1024}

const (
	slabPage  = 4096
	hugePage  = 2 << 20
	rootBytes = 1 << 20 // least size of the roots
)

// shape says what bheap to make.
type shape struct {
	name    string
	objects int
	word    int
	order   binary.ByteOrder
	dense   float64 // share of words that point into objects
}

// bheap is memory at consecutive addresses, mapped by huge pages: objects in
// slab pages, then root memory.
type bheap struct {
	shape
	base  uint64
	mem   []byte
	input *Input
}

// View implements guestmem.Memory.
func (h *bheap) View(a guestmem.GVA, n int) ([]byte, error) {
	off := uint64(a) - h.base
	if off >= uint64(len(h.mem)) {
		return nil, &guestmem.AddressError{Addr: uint64(a), Reason: "outside the bheap"}
	}
	n = min(n, hugePage-int(off%hugePage), len(h.mem)-int(off))
	return h.mem[off:][:n], nil
}

// newHeap makes a bheap in which everything is reachable but one object in a
// thousand. Objects are listed in random order, as ages are.
func newHeap(s shape) *bheap {
	rng := rand.New(rand.NewPCG(1, uint64(s.objects)))
	h := &bheap{shape: s, base: 0xffff888100000000}
	if s.word == 4 {
		h.base = 0x20000000
	}
	objects := make([]Object, 0, s.objects)
	size := uint64(0)
	for len(objects) < s.objects {
		class := classes[rng.IntN(len(classes))]
		for off := uint64(0); off+class <= slabPage && len(objects) < s.objects; off += class {
			if rng.IntN(10) > 0 { // one slot in ten is free
				objects = append(objects, Object{Addr: guestmem.GVA(h.base + size + off), Size: class})
			}
		}
		size += slabPage
	}
	roots := size
	word := uint64(s.word)
	// Each object needs one word that points to it.
	size = max(size+rootBytes, uint64(float64(s.objects)*float64(word)/s.dense))
	size = (size + slabPage - 1) / slabPage * slabPage
	h.mem = make([]byte, size)
	rng.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
	h.input = &Input{WordSize: s.word, Order: s.order, Memory: h, Objects: objects,
		Roots: []Root{{Name: "roots", Class: ClassPages,
			Range: guestmem.Range[guestmem.GVA]{Start: guestmem.GVA(h.base + roots), End: guestmem.GVA(h.base + size)}}}}
	h.link(rng, roots)
	h.fill(rng)
	return h
}

// link writes the pointers: each object is pointed to by a root or an object
// linked before it, one in a hundred by the one before it, as in a list.
func (h *bheap) link(rng *rand.Rand, roots uint64) {
	objects := h.input.Objects
	word := uint64(h.word)
	slot := func(linked int) uint64 {
		for {
			a := roots + rng.Uint64N(uint64(len(h.mem))-roots)&^(word-1)
			if linked > 0 && rng.Uint64N(uint64(len(h.mem))) < roots {
				o := &objects[rng.IntN(linked)]
				a = uint64(o.Addr) - h.base + rng.Uint64N(o.Size)&^(word-1)
			}
			if h.get(a) == 0 {
				return a
			}
		}
	}
	for i := range objects {
		to := uint64(objects[i].Addr)
		switch {
		case i%1000 == 999:
			continue // an orphan
		case i > 0 && i%1000 < 10:
			a := uint64(objects[i-1].Addr) - h.base
			if i%1000 > 0 && h.get(a) == 0 {
				h.put(a, to)
				continue
			}
		}
		h.put(slot(i-i/1000), to+rng.Uint64N(objects[i].Size)*uint64(rng.IntN(2)))
	}
	words := float64(len(h.mem)) / float64(word)
	for n := int(words*h.dense) - len(objects); n > 0; n-- {
		o := &objects[rng.IntN(len(objects))]
		if rng.IntN(1000) > 0 && n%1000 == 999 {
			continue
		}
		k := rng.IntN(len(objects))
		if k%1000 == 999 {
			k--
		}
		a := uint64(o.Addr) - h.base + rng.Uint64N(o.Size)&^(word-1)
		if h.get(a) == 0 {
			h.put(a, uint64(objects[k].Addr))
		}
	}
}

// fill writes what is no pointer where nothing is: zeros, numbers, text and
// pointers to elsewhere.
func (h *bheap) fill(rng *rand.Rand) {
	word := uint64(h.word)
	r := rng.Uint64() | 1
	for a := uint64(0); a < uint64(len(h.mem)); a += word {
		r ^= r << 13
		r ^= r >> 7
		r ^= r << 17
		if r&1 == 0 || h.get(a) != 0 {
			continue
		}
		v := r >> 40
		switch {
		case r&0x6 == 0 && word == 8:
			v = 0xffffffff81000000 | r>>40
		case r&0x6 == 2:
			v = 0x2020202020202020 | r>>4&0x5f5f5f5f5f5f5f5f
		}
		if word == 4 {
			v &= 0x1fffffff
		}
		h.put(a, v)
	}
}

func (h *bheap) get(off uint64) uint64 {
	if h.word == 8 {
		return h.order.Uint64(h.mem[off:])
	}
	return uint64(h.order.Uint32(h.mem[off:]))
}

func (h *bheap) put(off, v uint64) {
	if h.word == 8 {
		h.order.PutUint64(h.mem[off:], v)
	} else {
		h.order.PutUint32(h.mem[off:], uint32(v))
	}
}
