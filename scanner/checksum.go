package scanner

import (
	"hash/crc32"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Checksum returns the kernel's crc32 over the content of r, as kmemleak
// keeps it for an object: crc32_le (lib/crc32.c) with the seed ~0, which
// mm/kmemleak.c passes since 2026, and without the inversion at the end that
// hash/crc32 and most others add. Before 2026 the seed was 0; that form is
// not made here. An empty range gives the seed. It errs with what the memory
// says where r cannot be read whole.
func Checksum(mem guestmem.Memory, r guestmem.Range[guestmem.GVA]) (uint32, error) {
	crc := uint32(0) // of hash/crc32, which inverts before and after
	for a, left := r.Start, r.Size(); left > 0; {
		n := int(min(left, 1<<20))
		b, err := mem.View(a, n)
		if err != nil {
			return 0, err
		}
		if len(b) == 0 {
			return 0, &guestmem.AddressError{Addr: uint64(a), Reason: "empty view"}
		}
		b = b[:min(len(b), n)]
		crc = crc32.Update(crc, crc32.IEEETable, b)
		a, left = a+guestmem.GVA(len(b)), left-uint64(len(b))
	}
	return ^crc, nil
}
