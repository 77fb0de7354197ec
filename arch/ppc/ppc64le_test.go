package ppc

import (
	"fmt"
	"testing"
)

// zeroPage is a kernel's page of zeros, by its size in bytes; zero for none.
type zeroPage uint64

func (zeroPage) Constant(string, ...string) (int64, bool)        { return 0, false }
func (zeroPage) Member(string, string, ...string) (uint64, bool) { return 0, false }
func (zeroPage) Content(string, int) (uint64, []byte, bool)      { return 0, nil, false }

func (z zeroPage) Size(symbol string) (uint64, bool) {
	return uint64(z), z > 0 && symbol == "empty_zero_page"
}

func TestPages(t *testing.T) {
	for size, want := range map[zeroPage]string{
		0: "16: pte 16 5", 64 << 10: "16: pte 16 5", 4 << 10: "12: pte 12 9",
	} {
		p := PPC64LE().Adapt(size).Paging
		l := p.Levels[len(p.Levels)-1]
		if got := fmt.Sprintf("%d: %s %d %d", p.PageShift, l.Name, l.Shift, l.Bits); got != want {
			t.Errorf("a page of %d bytes: %s, want %s", size, got, want)
		}
	}
}
