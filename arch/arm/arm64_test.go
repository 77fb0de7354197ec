package arm

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

// image is a kernel with a header, linked at an address.
type image struct {
	arch.Build
	text   uint64
	header []byte
}

func (i image) Content(symbol string, n int) (uint64, []byte, bool) {
	return i.text, i.header, symbol == "_text" && len(i.header) == n
}

func TestGranule(t *testing.T) {
	header := func(flags uint64, magic string) []byte {
		b := binary.LittleEndian.AppendUint64(make([]byte, 24), flags)
		return append(append(append(b, make([]byte, 24)...), magic...), make([]byte, 4)...)
	}
	const small = "[{pgd 39 9} {pud 30 9} {pmd 21 9} {pte 12 9}]"
	for _, test := range []struct {
		text   uint64
		header []byte
		want   string
	}{
		{0xffff_8000_0800_0000, header(0xa, "ARM\x64"), small}, // Debian 6.1
		{0xffff_8000_8000_0000, header(0xb, "ARM\x64"), small},
		{0xffff_ffc0_0800_0000, header(0xa, "ARM\x64"), "[{pgd 30 9} {pmd 21 9} {pte 12 9}]"},
		{0xffff_c000_8000_0000, header(0xc, "ARM\x64"), "[{pgd 36 11} {pmd 25 11} {pte 14 11}]"}, // Debian 6.12, 16k
		{0xffff_8000_8000_0000, header(0xc, "ARM\x64"), "[{pgd 47 1} {pud 36 11} {pmd 25 11} {pte 14 11}]"},
		{0xffff_8000_8000_0000, header(0xe, "ARM\x64"), "[{pgd 42 6} {pmd 29 13} {pte 16 13}]"},
		// What cannot be is not believed.
		{0xffff_c000_8000_0000, header(0x8, "ARM\x64"), small},
		{0xffff_c000_8000_0000, header(0xc, "ELF\x00"), small},
		{0xffff_c000_8000_0000, nil, small},
		{0xffff_ffff_ffff_0000, header(0xc, "ARM\x64"), small},
		{0x8000_0000, header(0xc, "ARM\x64"), small},
	} {
		a := ARM64().Adapt(image{text: test.text, header: test.header})
		var got []string
		for _, l := range a.Paging.Levels {
			got = append(got, fmt.Sprintf("{%s %d %d}", l.Name, l.Shift, l.Bits))
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%#x, %x: %v, want %s", test.text, test.header, got, test.want)
		}
		p := a.Paging
		if high := ^uint64(0) >> p.VABits; p.High[0] != high || a.Call.Signed != high<<p.VABits || a.Linux.Text != ^uint64(0)<<(p.VABits-1) {
			t.Errorf("%d bits: %#x, %#x, %#x", p.VABits, p.High, a.Call.Signed, a.Linux.Text)
		}
	}
}
