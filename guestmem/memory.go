package guestmem

import (
	"errors"
	"fmt"
)

// GVA is a guest virtual address.
type GVA uint64

// GPA is a guest physical address.
type GPA uint64

// Range is the half-open range [Start, End) of guest addresses.
type Range[A ~uint64] struct{ Start, End A }

// Size returns the length of r in bytes, zero if it is empty or inverted.
func (r Range[A]) Size() uint64 {
	if r.End <= r.Start {
		return 0
	}
	return uint64(r.End - r.Start)
}

// Contains says whether a lies in r.
func (r Range[A]) Contains(a A) bool { return a >= r.Start && a < r.End }

// ErrUnreadable is wrapped by every error about an address that has no
// memory behind it.
var ErrUnreadable = errors.New("guest memory is not readable")

// AddressError names the address that could not be read; it wraps
// ErrUnreadable.
type AddressError struct {
	Addr   uint64
	Phys   bool   // Addr is a GPA
	Reason string // for example "pmd not present"
	// Hole is how many bytes from Addr on are known to be unreadable for the
	// same reason; zero where that is not known.
	Hole uint64
}

// HoleOf returns how many bytes from the address on that a read of it failed at
// are known to be unreadable, zero where the error does not tell.
func HoleOf(err error) uint64 {
	if e, ok := errors.AsType[*AddressError](err); ok {
		return e.Hole
	}
	return 0
}

func (e *AddressError) Error() string {
	space := "virtual"
	if e.Phys {
		space = "physical"
	}
	return fmt.Sprintf("guest %s address %#x: %s", space, e.Addr, e.Reason)
}

// Unwrap returns ErrUnreadable.
func (e *AddressError) Unwrap() error { return ErrUnreadable }

// Physical is guest physical memory.
type Physical interface {
	// ViewPhys returns the bytes at gpa, at least one and at most n, as far
	// as they are contiguous. The bytes are the guest's own where it lives:
	// they change under the reader unless the guest is paused, and must not
	// be written.
	ViewPhys(gpa GPA, n int) ([]byte, error)
	// RAM lists the ranges that have memory, ascending, disjoint.
	RAM() []Range[GPA]
}

// Aliased is what Physical may be besides.
type Aliased interface {
	// Aliased says whether some memory is at several physical addresses, as
	// machines have it that show their RAM below and above a hole.
	Aliased() bool
}

// Memory is a guest virtual address space.
type Memory interface {
	// View returns the bytes at gva, at least one and at most n, as far as
	// they are contiguous on the host; see Physical.ViewPhys.
	View(gva GVA, n int) ([]byte, error)
}

// Read fills buf from gva. On error buf's content is undefined.
func Read(m Memory, gva GVA, buf []byte) error {
	for len(buf) > 0 {
		v, err := m.View(gva, len(buf))
		if err != nil {
			return err
		}
		n := copy(buf, v)
		if n == 0 {
			return &AddressError{Addr: uint64(gva), Reason: "empty view"}
		}
		buf = buf[n:]
		next := gva + GVA(n)
		if next < gva && len(buf) > 0 {
			return &AddressError{Addr: uint64(gva), Reason: "read wraps around the address space"}
		}
		gva = next
	}
	return nil
}
