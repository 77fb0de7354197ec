package scanner

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/leakvisor/leakvisor/guestmem"
)

type gva = guestmem.GVA

const testPage = 4096

// paged is sparse memory whose views end at page ends, and in some pages
// sooner.
type paged struct {
	pages map[uint64][]byte
	short map[uint64]int // longest view in that page
}

func newPaged() *paged {
	return &paged{pages: map[uint64][]byte{}, short: map[uint64]int{}}
}

func (p *paged) View(a gva, n int) ([]byte, error) {
	b, ok := p.pages[uint64(a)/testPage]
	if !ok {
		return nil, &guestmem.AddressError{Addr: uint64(a), Reason: "no page", Hole: p.hole(uint64(a))}
	}
	n = min(max(n, 1), testPage-int(a%testPage))
	if s, ok := p.short[uint64(a)/testPage]; ok {
		n = min(n, s)
	}
	return b[a%testPage:][:n], nil
}

// hole returns how many bytes at a are in no page; of every other page it tells
// nothing.
func (p *paged) hole(a uint64) uint64 {
	if a/testPage%2 == 1 {
		return 0
	}
	end := a + 1<<30
	for k := range p.pages {
		if k > a/testPage {
			end = min(end, k*testPage)
		}
	}
	return max(end, a) - a
}

// mapPages makes the pages of [a, a+n) readable.
func (p *paged) mapPages(a, n uint64) {
	for k := a / testPage; k <= (a+n-1)/testPage; k++ {
		if p.pages[k] == nil {
			p.pages[k] = make([]byte, testPage)
		}
	}
}

func (p *paged) put(in *Input, a, w uint64) {
	b := p.pages[a/testPage]
	if b == nil || a%testPage+uint64(in.WordSize) > testPage {
		return
	}
	putWord(in, b[a%testPage:], w)
}

func putWord(in *Input, b []byte, w uint64) {
	if in.WordSize == 8 {
		in.Order.PutUint64(b, w)
	} else {
		in.Order.PutUint32(b, uint32(w))
	}
}

// formats are all word sizes and byte orders.
var formats = []struct {
	name  string
	size  int
	order binary.ByteOrder
}{
	{"64LE", 8, binary.LittleEndian},
	{"64BE", 8, binary.BigEndian},
	{"32LE", 4, binary.LittleEndian},
	{"32BE", 4, binary.BigEndian},
}

// dice draws numbers from data, and when that is used up from a generator
// seeded with it: one source for property tests and fuzzing.
type dice struct {
	data []byte
	rng  *rand.Rand
}

func newDice(data []byte) *dice {
	h := uint64(14695981039346656037)
	for _, b := range data {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return &dice{data, rand.New(rand.NewPCG(h, 1))}
}

func (d *dice) n(n int) int {
	if n <= 1 {
		return 0
	}
	if len(d.data) >= 2 {
		v := int(d.data[0]) | int(d.data[1])<<8
		d.data = d.data[2:]
		return v % n
	}
	return d.rng.IntN(n)
}

func (d *dice) one(in int) bool { return d.n(in) == 0 }

// randomInput makes a heap of everything that is legal, strange things now
// and then: small, so that the reference can be slow.
func randomInput(d *dice, size int, order binary.ByteOrder) *Input {
	mem := newPaged()
	in := &Input{WordSize: size, Order: order, Memory: mem}
	ws := uint64(size)
	areas := []uint64{0xffff888000100000, 0xffffc90000000000, 0xffff888000300000 - testPage}
	if size == 4 {
		areas = []uint64{0xc0100000, 0xf0000000, 0xc0300000 - testPage}
	}
	for _, a := range areas {
		for k := uint64(0); k < 4; k++ {
			if d.one(12) {
				continue
			}
			mem.mapPages(a+k*testPage, 1)
			if d.one(6) {
				mem.short[a/testPage+k] = 1 + d.n(40)
			}
		}
	}
	addr := func() uint64 {
		a := areas[d.n(len(areas))] + uint64(d.n(4*testPage))
		if !d.one(8) {
			a &^= ws - 1
		}
		return a
	}
	strange, overlaps := d.one(6), d.one(3)
	slab := uint64(8 << d.n(6))
	at := areas[0]
	for range 1 + d.n(60) {
		var o Object
		switch {
		case overlaps && d.one(4):
			o = Object{Addr: gva(addr()), Size: uint64(d.n(300))}
		case d.one(3):
			at = areas[d.n(len(areas))] + uint64(d.n(3*testPage))&^(slab-1)
			fallthrough
		default:
			o = Object{Addr: gva(at), Size: slab - uint64(d.n(2))*uint64(d.n(int(slab)))}
			at += slab * uint64(1+d.n(2))
		}
		if d.one(8) {
			o.Flag = Flag(d.n(8)) // not NotMapped
		}
		if d.one(15) {
			o = Object{Addr: gva(0x1000 + d.n(64)*16), Size: 16, Flag: NotMapped | Flag(d.n(4)*d.n(2))}
			for range d.n(3) {
				a := addr() &^ 15
				o.Copies = append(o.Copies, gvaRange{Start: gva(a), End: gva(a + 16)})
			}
		}
		if d.one(15) {
			o.Parts = []gvaRange{}
			for range d.n(3) {
				a := o.Addr + gva(d.n(int(o.Size)+1))
				o.Parts = append(o.Parts, gvaRange{Start: a, End: a + gva(d.n(20)) - 2})
			}
		}
		if d.one(4) {
			in.Layouts = append(in.Layouts, randomLayout(d))
			o.Layout = int32(1 + d.n(len(in.Layouts)))
		}
		if strange && d.one(10) {
			o.Addr = []gva{0, ^gva(0), ^gva(0) - 20, 1 << 32, 0xfffffff0, o.Addr}[d.n(6)]
			o.Size = []uint64{0, 1, 1 << 31, 1<<31 - 1, 13 << 21, 100}[d.n(6)]
			if o.Size > 1000 {
				o.Flag |= NoScan // the reference is slow
			}
		}
		in.Objects = append(in.Objects, o)
	}
	if !overlaps {
		in.Objects = dropOverlaps(in.Objects)
	}
	pointer := func() uint64 {
		if d.one(12) {
			return uint64(d.n(1 << 16))
		}
		o := in.Objects[d.n(len(in.Objects))]
		a := uint64(o.Addr)
		if len(o.Copies) > 0 && d.one(2) {
			a = uint64(o.Copies[0].Start)
		}
		switch d.n(5) {
		case 0:
			a += o.Size
		case 1:
			a--
		case 2:
			a += uint64(d.n(int(min(o.Size, 1<<20)) + 1))
		}
		return a
	}
	for range d.n(3 * len(in.Objects)) {
		o := in.Objects[d.n(len(in.Objects))]
		a := uint64(o.Addr) + uint64(d.n(int(min(o.Size, 400))+1))
		if d.one(3) {
			a = addr()
		}
		mem.put(in, a&^(ws-1), pointer())
	}
	for range d.n(4) {
		r := Root{Class: Class(d.n(8))}
		switch d.n(4) {
		case 0:
			r.Words = []uint64{pointer(), pointer()}
		case 1:
			other := newPaged()
			other.mapPages(areas[0], testPage)
			other.put(in, areas[0]+64, pointer())
			other.put(in, areas[0]+128, pointer())
			r.Memory, r.Range = other, gvaRange{Start: gva(areas[0] + 63), End: gva(areas[0] + 128 + uint64(d.n(10)))}
		default:
			a := addr()
			r.Range = gvaRange{Start: gva(a), End: gva(a + uint64(d.n(1000)) - 8)}
		}
		in.Roots = append(in.Roots, r)
	}
	for range d.n(3) {
		a := addr()
		in.Exclude = append(in.Exclude, gvaRange{Start: gva(a), End: gva(a + uint64(d.n(64)))})
	}
	for range d.n(4) {
		from := gva(pointer())
		if d.one(3) {
			from = gva(addr())
		}
		in.Edges = append(in.Edges, Edge{From: from, To: gva(pointer())})
	}
	return in
}

func randomLayout(d *dice) Layout {
	ranges := func(size int) (out []guestmem.Range[uint64]) {
		for at := 0; at < size; {
			start := at + d.n(20)
			at = start + 1 + d.n(20)
			out = append(out, guestmem.Range[uint64]{Start: uint64(start), End: uint64(at)})
		}
		return out
	}
	l := Layout{Size: uint64(d.n(100)), Period: uint64(d.n(2) * d.n(60))}
	l.Parts, l.Repeat = ranges(int(l.Size)), ranges(int(l.Period))
	return l
}

// dropOverlaps keeps the objects that overlap no earlier one.
func dropOverlaps(objects []Object) []Object {
	var out []Object
	var taken []gvaRange
next:
	for _, o := range objects {
		mine := append([]gvaRange{{Start: o.Addr, End: o.Addr + gva(max(o.Size, 1))}}, o.Copies...)
		for i, m := range mine {
			for _, t := range append(mine[:i:i], taken...) {
				if m.End < m.Start || m.Start < t.End && t.Start < m.End {
					continue next
				}
			}
		}
		taken = append(taken, mine...)
		out = append(out, o)
	}
	if out == nil {
		out = objects[:1]
	}
	return out
}
