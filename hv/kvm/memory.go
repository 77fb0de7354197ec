package kvm

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Layout of guest physical memory. The hole below 4 GiB holds the APICs,
// KVM's own pages and what else PCs keep there.
const (
	holeStart = 3 << 30
	holeEnd   = 4 << 30
	pageSize  = 4096
)

// layout splits size bytes of RAM around the hole.
func layout(size uint64) []guestmem.Range[guestmem.GPA] {
	size &^= pageSize - 1
	r := []guestmem.Range[guestmem.GPA]{{Start: 0, End: guestmem.GPA(min(size, holeStart))}}
	if size > holeStart {
		r = append(r, guestmem.Range[guestmem.GPA]{Start: holeEnd, End: holeEnd + guestmem.GPA(size-holeStart)})
	}
	return r
}

// ram is guest memory that may be written.
type ram struct {
	pieces []guestmem.Piece
	view   *guestmem.RAM
}

func newRAM(pieces ...guestmem.Piece) (*ram, error) {
	v, err := guestmem.NewRAM(pieces...)
	if err != nil {
		return nil, err
	}
	return &ram{pieces: pieces, view: v}, nil
}

// at returns the n bytes at gpa, nil where RAM does not have them in one
// piece.
func (r *ram) at(gpa guestmem.GPA, n int) []byte {
	for i := range r.pieces {
		p := &r.pieces[i]
		if gpa >= p.GPA && uint64(gpa-p.GPA) < uint64(len(p.Data)) {
			if b := p.Data[gpa-p.GPA:]; n >= 0 && n <= len(b) {
				return b[:n:n]
			}
		}
	}
	return nil
}

// put copies b to gpa.
func (r *ram) put(gpa guestmem.GPA, b []byte) error {
	dst := r.at(gpa, len(b))
	if dst == nil {
		return fmt.Errorf("%d bytes at guest physical address %#x do not fit in the guest's RAM", len(b), uint64(gpa))
	}
	copy(dst, b)
	return nil
}

// low is the size of the RAM that starts at 0.
func (r *ram) low() uint64 { return uint64(len(r.pieces[0].Data)) }
