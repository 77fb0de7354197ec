package symbols

import (
	"bytes"
	"encoding/binary"
)

// noteBuildID is NT_GNU_BUILD_ID of include/uapi/linux/elf.h.
const noteBuildID = 3

// gnuBuildID returns the build ID in the content of a note section, nil if
// there is none.
func gnuBuildID(b []byte, order binary.ByteOrder) []byte {
	for len(b) >= 12 {
		name, desc := uint64(order.Uint32(b)), uint64(order.Uint32(b[4:]))
		typ := order.Uint32(b[8:])
		b = b[12:]
		nameEnd, descEnd := (name+3)&^3, (desc+3)&^3
		if nameEnd+desc > uint64(len(b)) {
			return nil
		}
		if typ == noteBuildID && name == 4 && string(b[:4]) == "GNU\x00" && desc > 0 {
			return bytes.Clone(b[nameEnd : nameEnd+desc])
		}
		b = b[min(nameEnd+descEnd, uint64(len(b))):]
	}
	return nil
}
