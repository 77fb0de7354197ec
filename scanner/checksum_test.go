package scanner

import (
	"errors"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

// crc32le is the kernel's crc32_le bit by bit (lib/crc32.c,
// crc32_le_generic with CRC_LE_BITS == 1).
func crc32le(crc uint32, p []byte) uint32 {
	for _, b := range p {
		crc ^= uint32(b)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low != 0 {
				crc ^= 0xedb88320
			}
		}
	}
	return crc
}

func TestChecksum(t *testing.T) {
	mem := newPaged()
	mem.mapPages(0x1000, 3*testPage)
	mem.short[2] = 7
	sum := func(a, n uint64) uint32 {
		t.Helper()
		c, err := Checksum(mem, gvaRange{Start: gva(a), End: gva(a + n)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// The check value of CRC-32/JAMCRC, the same without the last inversion.
	copy(mem.pages[1][16:], "123456789")
	if got := sum(0x1010, 9); got != 0x340bc6d9 {
		t.Errorf("check value %#x", got)
	}
	if got := sum(0x1010, 0); got != ^uint32(0) {
		t.Errorf("of nothing %#x", got)
	}
	for i := range mem.pages[2] {
		mem.pages[2][i] = byte(i * 7)
	}
	whole := append(append(append([]byte(nil), mem.pages[1]...), mem.pages[2]...), mem.pages[3]...)
	for _, r := range [][2]uint64{{0, 32}, {1, 4095}, {100, 9000}, {4096, 1}} {
		if got, want := sum(0x1000+r[0], r[1]), crc32le(^uint32(0), whole[r[0]:r[0]+r[1]]); got != want {
			t.Errorf("%d bytes at %d: %#x, want %#x", r[1], r[0], got, want)
		}
	}
	if _, err := Checksum(mem, gvaRange{Start: 0x3ff0, End: 0x4010}); !errors.Is(err, guestmem.ErrUnreadable) {
		t.Errorf("unreadable: %v", err)
	}
}
