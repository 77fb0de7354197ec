package ppc

import (
	"fmt"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

// zeroPage is a kernel's page of zeros, by its size in bytes; zero for none.
type zeroPage struct {
	arch.Build
	size uint64
}

func (z zeroPage) Size(symbol string) (uint64, bool) {
	return z.size, z.size > 0 && symbol == "empty_zero_page"
}

func TestPages(t *testing.T) {
	for size, want := range map[uint64]string{
		0: "16: pte 16 5", 64 << 10: "16: pte 16 5", 4 << 10: "12: pte 12 9",
	} {
		p := PPC64LE().Adapt(zeroPage{size: size}).Paging
		l := p.Levels[len(p.Levels)-1]
		if got := fmt.Sprintf("%d: %s %d %d", p.PageShift, l.Name, l.Shift, l.Bits); got != want {
			t.Errorf("a page of %d bytes: %s, want %s", size, got, want)
		}
	}
}
