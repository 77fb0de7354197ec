package emu

import (
	"encoding/binary"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

const (
	tlbBits = 8
	tlbSize = 1 << tlbBits
)

// Translate is the physical address of a virtual one, and how many bytes from
// there on lie as they do virtually.
type Translate func(gva guestmem.GVA) (guestmem.GPA, uint64, error)

// TLB is how a CPU sees memory: virtual addresses, of which it remembers the
// translations until Flush. Access rights are not checked: the guests are
// kernels. It belongs to the goroutine that runs the guest.
type TLB struct {
	bus       *Bus
	translate Translate
	little    bool
	read      [tlbSize]tlbEntry
	write     [tlbSize]tlbEntry
}

// tlbEntry is a page of RAM at virtual page number tag-1.
type tlbEntry struct {
	tag  uint64
	page *[pageSize]byte
}

var _ guestmem.Memory = (*TLB)(nil)

// NewTLB returns an empty TLB over b.
func NewTLB(b *Bus, translate Translate) *TLB {
	t := &TLB{bus: b, translate: translate, little: b.order.Uint16([]byte{1, 0}) == 1}
	b.tlbs = append(b.tlbs, t)
	return t
}

// Flush forgets all translations.
func (t *TLB) Flush() {
	t.read, t.write = [tlbSize]tlbEntry{}, [tlbSize]tlbEntry{}
}

// Physical translates an address.
func (t *TLB) Physical(gva guestmem.GVA) (guestmem.GPA, error) {
	gpa, _, err := t.translate(gva)
	return gpa, err
}

// View implements guestmem.Memory.
func (t *TLB) View(gva guestmem.GVA, n int) ([]byte, error) {
	gpa, left, err := t.translate(gva)
	if err != nil {
		return nil, err
	}
	return t.bus.ram.ViewPhys(gpa, int(min(uint64(max(n, 1)), left)))
}

// Load reads size bytes (1, 2, 4 or 8) at a multiple of size.
func (t *TLB) Load(gva uint64, size int) (uint64, error) {
	e := &t.read[gva>>pageShift%tlbSize]
	off := gva % pageSize
	if e.tag != gva>>pageShift+1 || off&uint64(size-1) != 0 {
		return t.loadSlow(gva, size)
	}
	b := e.page[off:]
	if t.little {
		switch size {
		case 8:
			return binary.LittleEndian.Uint64(b), nil
		case 4:
			return uint64(binary.LittleEndian.Uint32(b)), nil
		case 2:
			return uint64(binary.LittleEndian.Uint16(b)), nil
		case 1:
			return uint64(b[0]), nil
		}
	}
	return load(t.bus.order, b[:size]), nil
}

func (t *TLB) loadSlow(gva uint64, size int) (uint64, error) {
	gpa, page, err := t.miss(gva, size)
	if err != nil {
		return 0, err
	}
	if page == nil {
		return t.bus.Load(gpa, size)
	}
	t.read[gva>>pageShift%tlbSize] = tlbEntry{gva>>pageShift + 1, page}
	off := gva % pageSize
	return load(t.bus.order, page[off:off+uint64(size)]), nil
}

// Store writes size bytes (1, 2, 4 or 8) at a multiple of size.
func (t *TLB) Store(gva uint64, size int, v uint64) error {
	e := &t.write[gva>>pageShift%tlbSize]
	off := gva % pageSize
	if e.tag != gva>>pageShift+1 || off&uint64(size-1) != 0 {
		return t.storeSlow(gva, size, v)
	}
	b := e.page[off:]
	if t.little {
		switch size {
		case 8:
			binary.LittleEndian.PutUint64(b, v)
			return nil
		case 4:
			binary.LittleEndian.PutUint32(b, uint32(v))
			return nil
		case 2:
			binary.LittleEndian.PutUint16(b, uint16(v))
			return nil
		case 1:
			b[0] = byte(v)
			return nil
		}
	}
	store(t.bus.order, b[:size], v)
	return nil
}

func (t *TLB) storeSlow(gva uint64, size int, v uint64) error {
	gpa, page, err := t.miss(gva, size)
	if err != nil {
		return err
	}
	if err := t.bus.Store(gpa, size, v); err != nil {
		return err
	}
	if page != nil {
		t.write[gva>>pageShift%tlbSize] = tlbEntry{gva>>pageShift + 1, page}
	}
	return nil
}

// miss translates an address, and returns the whole page of RAM around it if
// there is one.
func (t *TLB) miss(gva uint64, size int) (guestmem.GPA, *[pageSize]byte, error) {
	if gva&uint64(size-1) != 0 {
		return 0, nil, &guestmem.AddressError{Addr: gva, Reason: fmt.Sprintf("an access of %d bytes that is not aligned", size)}
	}
	gpa, _, err := t.translate(guestmem.GVA(gva))
	if err != nil {
		return 0, nil, err
	}
	start := gpa &^ (pageSize - 1)
	if b, ok := t.bus.bytes(start, pageSize); ok && uint64(gpa-start) == gva%pageSize {
		return gpa, (*[pageSize]byte)(b), nil
	}
	return gpa, nil, nil
}
