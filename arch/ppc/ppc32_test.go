package ppc

import (
	"encoding/binary"
	"testing"
)

// A page's number is 12 bits further up in an entry than in its address, which
// may have 36 bits.
func TestPages32(t *testing.T) {
	p := PPC32().Paging
	pgd, pte := p.Resolve(p.Levels[0]), p.Resolve(p.Levels[1])
	if at, ok := p.Address(pte, 0xc_0012_3000<<12|0x3f); !ok || at != 0xc_0012_3000 {
		t.Errorf("a page is at %#x, %v", at, ok)
	}
	if at, ok := p.Address(pgd, 0xc012_3000); !ok || at != 0x12_3000 {
		t.Errorf("a table is at %#x, %v", at, ok)
	}
	if at, ok := p.Address(pgd, 0x12_3000); ok {
		t.Errorf("a table outside of what is mapped without tables is at %#x", at)
	}
	if pgd.EntrySize != 4 || pte.EntrySize != 8 || 1<<pte.Bits*pte.EntrySize != 1<<p.PageShift {
		t.Errorf("entries of %d and %d bytes", pgd.EntrySize, pte.EntrySize)
	}
}

func TestExits32(t *testing.T) {
	code := binary.BigEndian.AppendUint32(nil, 0x4e80_0020) // blr
	exits, err := text{binary.BigEndian}.Exits(0xc000_0000, code, nil)
	if err != nil || len(exits) != 1 || exits[0].Addr != 0xc000_0000 {
		t.Errorf("exits %+v, %v", exits, err)
	}
}
