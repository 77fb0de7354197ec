package fakemem

import (
	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

const pageSize = 4096

// Memory is a virtual address space. The zero value is not usable.
type Memory struct {
	arch  *arch.Arch
	pages map[guestmem.GVA][]byte
}

var _ guestmem.Memory = (*Memory)(nil)

// New returns an empty memory with an architecture's word size and order.
func New(a *arch.Arch) *Memory {
	return &Memory{arch: a, pages: map[guestmem.GVA][]byte{}}
}

// View implements guestmem.Memory.
func (m *Memory) View(gva guestmem.GVA, n int) ([]byte, error) {
	p := m.pages[gva&^(pageSize-1)]
	if p == nil {
		return nil, &guestmem.AddressError{Addr: uint64(gva), Reason: "nothing was written there"}
	}
	p = p[gva&(pageSize-1):]
	return p[:min(max(n, 1), len(p))], nil
}

// Write puts bytes at an address.
func (m *Memory) Write(gva guestmem.GVA, b []byte) {
	for len(b) > 0 {
		at := gva &^ (pageSize - 1)
		if m.pages[at] == nil {
			m.pages[at] = make([]byte, pageSize)
		}
		n := copy(m.pages[at][gva-at:], b)
		b, gva = b[n:], gva+guestmem.GVA(n)
	}
}

// Uint puts an integer of size 1, 2, 4 or 8 bytes at an address.
func (m *Memory) Uint(gva guestmem.GVA, size int, v uint64) {
	b := make([]byte, 8)
	switch size {
	case 1:
		b[0] = byte(v)
	case 2:
		m.arch.Order.PutUint16(b, uint16(v))
	case 4:
		m.arch.Order.PutUint32(b, uint32(v))
	case 8:
		m.arch.Order.PutUint64(b, v)
	default:
		panic("fakemem: integer of impossible size")
	}
	m.Write(gva, b[:size])
}

// Word puts a machine word at an address.
func (m *Memory) Word(gva guestmem.GVA, v uint64) { m.Uint(gva, m.arch.WordSize, v) }

// Physical is physical memory of one size from address zero, which is a
// window of a Memory.
type Physical struct {
	Memory *Memory
	Base   guestmem.GVA // where physical address zero is
	Size   uint64       // bytes
}

var _ guestmem.Physical = Physical{}

// ViewPhys implements guestmem.Physical.
func (p Physical) ViewPhys(gpa guestmem.GPA, n int) ([]byte, error) {
	if uint64(gpa) >= p.Size {
		return nil, &guestmem.AddressError{Addr: uint64(gpa), Phys: true, Reason: "outside the guest's RAM"}
	}
	return p.Memory.View(p.Base+guestmem.GVA(gpa), n)
}

// RAM implements guestmem.Physical.
func (p Physical) RAM() []guestmem.Range[guestmem.GPA] {
	return []guestmem.Range[guestmem.GPA]{{Start: 0, End: guestmem.GPA(p.Size)}}
}
