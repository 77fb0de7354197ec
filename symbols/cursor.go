package symbols

import (
	"encoding/binary"

	"github.com/leakvisor/leakvisor/arch"
)

// cursor reads debug information byte by byte. What is read behind the end is
// zero, and the cursor bad from then on.
type cursor struct {
	order binary.ByteOrder
	b     []byte
	bad   bool
}

// uleb reads an unsigned LEB128.
func (c *cursor) uleb() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

// bytes reads n bytes.
func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

// uint reads a number of 1, 2, 4 or 8 bytes.
func (c *cursor) uint(size uint64) uint64 {
	return arch.Uint(c.order, c.bytes(size))
}
