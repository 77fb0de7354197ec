package guestmem

import (
	"bytes"

	"github.com/leakvisor/leakvisor/arch"
)

// Reader reads values in an architecture's word size and byte order.
type Reader struct {
	Memory
	Arch *arch.Arch
}

// Uint reads an unsigned integer of size 1, 2, 4 or 8 bytes.
func (r Reader) Uint(gva GVA, size int) (uint64, error) {
	var buf [8]byte
	if size < 0 || size > len(buf) {
		return 0, &AddressError{Addr: uint64(gva), Reason: "integer of impossible size"}
	}
	if err := Read(r.Memory, gva, buf[:size]); err != nil {
		return 0, err
	}
	return r.Arch.Uint(buf[:size]), nil
}

// Word reads one machine word.
func (r Reader) Word(gva GVA) (uint64, error) { return r.Uint(gva, r.Arch.WordSize) }

// Pointer reads one machine word as an address.
func (r Reader) Pointer(gva GVA) (GVA, error) {
	w, err := r.Word(gva)
	return GVA(w), err
}

// CString reads the text at gva up to its NUL, at most limit bytes.
func (r Reader) CString(gva GVA, limit int) (string, error) {
	var out []byte
	for len(out) < limit {
		v, err := r.View(gva+GVA(len(out)), limit-len(out))
		if err != nil {
			if len(out) > 0 {
				return string(out), err
			}
			return "", err
		}
		if i := bytes.IndexByte(v, 0); i >= 0 {
			return string(append(out, v[:i]...)), nil
		}
		out = append(out, v...)
	}
	return string(out), nil
}
