package guestmem

import (
	"fmt"
	"sort"
	"unsafe"
)

// Piece is one contiguous range of guest RAM: Data[0] is the byte at GPA.
type Piece struct {
	GPA  GPA
	Data []byte
}

// RAM is physical memory made of pieces of host memory. It is immutable and
// safe for concurrent use.
type RAM struct {
	pieces  []Piece
	aliased bool
}

var (
	_ Physical = (*RAM)(nil)
	_ Aliased  = (*RAM)(nil)
)

// NewRAM returns the RAM made of pieces, which must not overlap, though their
// bytes may. Empty
// pieces are dropped.
func NewRAM(pieces ...Piece) (*RAM, error) {
	r := &RAM{}
	for _, p := range pieces {
		if len(p.Data) > 0 {
			r.pieces = append(r.pieces, p)
		}
	}
	sort.Slice(r.pieces, func(i, j int) bool { return r.pieces[i].GPA < r.pieces[j].GPA })
	for i, p := range r.pieces {
		end := p.GPA + GPA(len(p.Data))
		if end < p.GPA {
			return nil, fmt.Errorf("RAM at %#x wraps around the address space", uint64(p.GPA))
		}
		if i+1 < len(r.pieces) && end > r.pieces[i+1].GPA {
			return nil, fmt.Errorf("RAM at %#x overlaps RAM at %#x", uint64(p.GPA), uint64(r.pieces[i+1].GPA))
		}
	}
	for i, p := range r.pieces {
		for _, q := range r.pieces[:i] {
			r.aliased = r.aliased || overlap(p.Data, q.Data)
		}
	}
	return r, nil
}

// overlap says whether two slices, which are not empty, share bytes.
func overlap(a, b []byte) bool {
	at := func(s []byte) (start, end uintptr) {
		start = uintptr(unsafe.Pointer(unsafe.SliceData(s)))
		return start, start + uintptr(len(s))
	}
	aStart, aEnd := at(a)
	bStart, bEnd := at(b)
	return aStart < bEnd && bStart < aEnd
}

// Aliased implements guestmem.Aliased.
func (r *RAM) Aliased() bool { return r.aliased }

// ViewPhys implements Physical.
func (r *RAM) ViewPhys(gpa GPA, n int) ([]byte, error) {
	for i := range r.pieces {
		p := &r.pieces[i]
		if gpa < p.GPA || uint64(gpa-p.GPA) >= uint64(len(p.Data)) {
			continue
		}
		b := p.Data[gpa-p.GPA:]
		return b[:min(max(n, 1), len(b))], nil
	}
	return nil, &AddressError{Addr: uint64(gpa), Phys: true, Reason: "outside the guest's RAM"}
}

// RAM implements Physical.
func (r *RAM) RAM() []Range[GPA] {
	out := make([]Range[GPA], len(r.pieces))
	for i, p := range r.pieces {
		out[i] = Range[GPA]{p.GPA, p.GPA + GPA(len(p.Data))}
	}
	return out
}
