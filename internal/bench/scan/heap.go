package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/scanner"
)

// classes are the sizes of objects, in bytes, as often as they occur: the
// mean is about 260, as in a busy guest's slab.
var classes = []uint64{32, 32, 64, 64, 64, 96, 128, 128, 192, 192, 192, 256, 512, 576, 1024}

const (
	slabPage  = 4096
	hugePage  = 2 << 20
	rootBytes = 1 << 20 // least size of the roots
	rootShare = 50      // least size of the roots, as a part of the objects'
	maxTries  = 1 << 16 // for a free word
)

// shape says what heap to make.
type shape struct {
	objects int
	word    int
	order   binary.ByteOrder
	dense   float64 // share of words that point into objects
}

func (s shape) String() string {
	order := "little"
	if s.order == binary.ByteOrder(binary.BigEndian) {
		order = "big"
	}
	return fmt.Sprintf("%.1f million objects, %.0f %% pointers, %d-bit %s-endian", float64(s.objects)/1e6, 100*s.dense, 8*s.word, order)
}

// heap is memory at consecutive addresses, mapped by huge pages: objects in
// slab pages, then root memory.
type heap struct {
	shape
	base  uint64
	mem   []byte
	roots uint64 // offset of the root memory
	age   []int  // of each object, by address
	input *scanner.Input
	sum   uint64 // of all that was read
}

// View implements guestmem.Memory.
func (h *heap) View(a guestmem.GVA, n int) ([]byte, error) {
	off := uint64(a) - h.base
	if off >= uint64(len(h.mem)) {
		return nil, &guestmem.AddressError{Addr: uint64(a), Reason: "outside the heap"}
	}
	n = min(n, hugePage-int(off%hugePage), len(h.mem)-int(off))
	return h.mem[off:][:n], nil
}

// newHeap makes a heap of shape s.
func newHeap(s shape) *heap {
	rng := rand.New(rand.NewPCG(1, uint64(s.objects)))
	h := &heap{shape: s, base: 0xffff888100000000}
	if s.word == 4 {
		h.base = 0x20000000
	}
	objects := make([]scanner.Object, 0, s.objects)
	size := uint64(0)
	for len(objects) < s.objects {
		class := classes[rng.IntN(len(classes))]
		for off := uint64(0); off+class <= slabPage && len(objects) < s.objects; off += class {
			if rng.IntN(10) > 0 { // one slot in ten is free
				objects = append(objects, scanner.Object{Addr: guestmem.GVA(h.base + size + off), Size: class})
			}
		}
		size += slabPage
	}
	h.roots = size
	// Each object needs one word that points to it.
	size = max(size+rootBytes, size+size/rootShare, uint64(float64(s.objects)*float64(s.word)/s.dense))
	size = (size + slabPage - 1) / slabPage * slabPage
	h.mem = make([]byte, size)
	h.link(rng, objects)
	h.fill(rng)
	h.input = &scanner.Input{WordSize: s.word, Order: s.order, Memory: h, Objects: make([]scanner.Object, s.objects),
		Roots: []scanner.Root{{Name: "roots", Class: scanner.ClassPages,
			Range: guestmem.Range[guestmem.GVA]{Start: guestmem.GVA(h.base + h.roots), End: guestmem.GVA(h.base + size)}}}}
	// By address, as they are found in the slabs.
	copy(h.input.Objects, objects)
	return h
}

// link writes the pointers. objects are by address; h.age becomes the order
// in which they are linked: each from a root or an object linked before.
func (h *heap) link(rng *rand.Rand, objects []scanner.Object) {
	h.age = rng.Perm(len(objects))
	byAge := make([]int, len(objects))
	for i, k := range h.age {
		byAge[k] = i
	}
	link := -1 // the last object of the list
	for k, i := range byAge {
		if orphan(k) {
			continue
		}
		to := uint64(objects[i].Addr) + rng.Uint64N(objects[i].Size)*uint64(rng.IntN(2))
		if k%100 == 1 {
			if link >= 0 {
				h.put(uint64(objects[link].Addr)-h.base, to)
				link = i
				continue
			}
			link = i
		}
		h.put(h.slot(rng, objects, byAge, k), to)
	}
	words := float64(len(h.mem)) / float64(h.word)
	for n := int(words*h.dense) - len(objects); n > 0; n-- {
		from := rng.IntN(len(objects))
		to := rng.IntN(len(objects))
		if rng.IntN(2) == 0 {
			to = min(max(from+rng.IntN(512)-256, 0), len(objects)-1)
		}
		if a := h.inside(rng, &objects[from]); a != 0 && !orphan(h.age[to]) {
			h.put(a, uint64(objects[to].Addr))
		}
	}
}

// orphan says whether nothing shall point to the object of age k.
func orphan(k int) bool { return k%1000 == 999 }

// slot finds a free word for a pointer to the object of age k: in a root or an
// older object, in proportion to their memory, half of them near.
func (h *heap) slot(rng *rand.Rand, objects []scanner.Object, byAge []int, k int) uint64 {
	word := uint64(h.word)
	size := uint64(len(h.mem))
	near := rng.IntN(2) == 0
	for try := 0; ; try++ {
		if k == 0 || rng.Uint64N(size) >= h.roots || try > 20 {
			a := rng.Uint64N(size - h.roots)
			if near && try < 10 {
				// What is near in the objects is near in the roots.
				share := float64(uint64(objects[byAge[k]].Addr)-h.base) / float64(h.roots)
				a = min(uint64(share*float64(size-h.roots))+rng.Uint64N(1<<16), size-h.roots-1)
			}
			if a = h.roots + a&^(word-1); h.get(a) == 0 {
				return a
			}
			if try == maxTries {
				panic(fmt.Sprintf("%v: the roots are full", h.shape))
			}
			continue
		}
		from := byAge[rng.IntN(k)]
		if near {
			from = min(max(byAge[k]+rng.IntN(512)-256, 0), len(objects)-1)
		}
		if h.age[from] < k && !orphan(h.age[from]) {
			if a := h.inside(rng, &objects[from]); a != 0 {
				return a
			}
		}
	}
}

// inside returns a free word of o, not its first, which is for the list, or
// zero where the first try is none.
func (h *heap) inside(rng *rand.Rand, o *scanner.Object) uint64 {
	word := uint64(h.word)
	a := uint64(o.Addr) - h.base + word + rng.Uint64N(o.Size-word)&^(word-1)
	if h.get(a) != 0 {
		return 0
	}
	return a
}

// check says whether a scan found exactly the orphans.
func (h *heap) check(r *scanner.Result) error {
	for i, s := range r.States {
		if (s == scanner.Orphan) != orphan(h.age[i]) || s == scanner.Unknown {
			return fmt.Errorf("%v: the state of object %d is %d", h.shape, i, s)
		}
	}
	return nil
}

// fill writes what is no pointer where nothing is: zeros, numbers, text and
// pointers to elsewhere.
func (h *heap) fill(rng *rand.Rand) {
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

func (h *heap) get(off uint64) uint64 {
	if h.word == 8 {
		return h.order.Uint64(h.mem[off:])
	}
	return uint64(h.order.Uint32(h.mem[off:]))
}

func (h *heap) put(off, v uint64) {
	if h.word == 8 {
		h.order.PutUint64(h.mem[off:], v)
	} else {
		h.order.PutUint32(h.mem[off:], uint32(v))
	}
}
