package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes, given as 512M or 2G (powers of 1024; a bare
// number is in MiB, as QEMU has it).
type size uint64

// UnmarshalText implements encoding.TextUnmarshaler for flags.
func (s *size) UnmarshalText(text []byte) error {
	t := strings.ToUpper(string(text))
	shift := uint(20)
	if t != "" {
		if i := strings.IndexByte("KMGT", t[len(t)-1]); i >= 0 {
			shift = uint(10 * (i + 1))
			t = t[:len(t)-1]
		}
	}
	n, err := strconv.ParseUint(t, 10, 64)
	if err != nil || n == 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a size such as 512M or 2G", text)
	}
	*s = size(n << shift)
	return nil
}
