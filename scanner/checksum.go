package scanner

import (
	"hash/crc32"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Checksum returns kmemleak's checksum of the content of r: the kernel's
// crc32, which, other than hash/crc32, is not inverted at either end, from
// the seed ~0 (mm/kmemleak.c; the seed was 0 before 2026). It errs where r
// cannot be read.
func Checksum(mem guestmem.Memory, r guestmem.Range[guestmem.GVA]) (uint32, error) {
	var sum uint32 // inverted: hash/crc32 starts from ^0 and inverts at the end
	for at := r.Start; at < r.End; {
		v, err := mem.View(at, int(min(uint64(r.End-at), 1<<20)))
		if err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, crc32.IEEETable, v)
		at += guestmem.GVA(len(v))
	}
	return ^sum, nil
}
