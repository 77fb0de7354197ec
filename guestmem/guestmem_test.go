package guestmem_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/arm"
	"github.com/leakvisor/leakvisor/arch/metag"
	"github.com/leakvisor/leakvisor/arch/sparc"
	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
)

const (
	ramBase = 0x10_0000
	ramSize = 0x40_0000
)

// tables builds x86-64 page tables in a RAM at ramBase: a 4 KiB page, a
// 2 MiB page and a 1 GiB page.
func tables(t testing.TB) (*guestmem.RAM, []byte, *guestmem.AddressSpace) {
	t.Helper()
	data := make([]byte, ramSize)
	put := func(table, index int, entry uint64) {
		binary.LittleEndian.PutUint64(data[table+8*index:], entry)
	}
	const pgd, pud, pmd, pte = 0, 0x1000, 0x2000, 0x3000
	put(pgd, 0x1ff, ramBase+pud|1)
	put(pud, 0x1fe, ramBase+pmd|1)
	put(pud, 0x1ff, 0|1<<7|1) // 1 GiB at 0
	put(pmd, 0, ramBase+pte|1)
	put(pmd, 1, 0x20_0000|1<<7|1) // 2 MiB at 2 MiB
	put(pmd, 2, 0xdead_0000_0000|1)
	put(pte, 0, ramBase+0x5000|1|1<<63)
	put(pte, 1, ramBase+0x9000|1)
	ram, err := guestmem.NewRAM(guestmem.Piece{GPA: ramBase, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	s, err := guestmem.NewAddressSpace(ram, x86.AMD64(), ramBase+pgd)
	if err != nil {
		t.Fatal(err)
	}
	return ram, data, s
}

func TestTranslate(t *testing.T) {
	_, _, s := tables(t)
	for _, c := range []struct {
		gva  guestmem.GVA
		gpa  guestmem.GPA
		left uint64
	}{
		{0xffff_ffff_8000_0000, ramBase + 0x5000, 0x1000},
		{0xffff_ffff_8000_1ffe, ramBase + 0x9ffe, 2},
		{0xffff_ffff_8020_0010, 0x20_0010, 0x20_0000 - 0x10},
		{0xffff_ffff_c012_3456, 0x12_3456, 1<<30 - 0x12_3456},
	} {
		gpa, left, err := s.Translate(c.gva)
		if err != nil || gpa != c.gpa || left != c.left {
			t.Errorf("Translate(%#x) = %#x, %#x, %v; want %#x, %#x", uint64(c.gva), uint64(gpa), left, err, uint64(c.gpa), c.left)
		}
	}
	for gva, hole := range map[guestmem.GVA]uint64{
		0x1000: 512<<30 - 0x1000, 0x8000_0000_0000_0000: 0,
		0xffff_ffff_8000_2010: 4096 - 0x10, 0xffff_ffff_8060_0008: 2<<20 - 8, 0xffff_ffff_8040_0000: 0,
	} {
		_, _, err := s.Translate(gva)
		if got := guestmem.HoleOf(err); !errors.Is(err, guestmem.ErrUnreadable) || got != hole {
			t.Errorf("Translate(%#x): error %v, a hole of %#x, want %#x", uint64(gva), err, got, hole)
		}
	}
}

func TestReadAcrossPages(t *testing.T) {
	_, data, s := tables(t)
	data[0x5fff], data[0x9000] = 0xaa, 0xbb // neighbours in virtual memory only
	r := guestmem.Reader{Memory: s, Arch: x86.AMD64()}
	got, err := r.Uint(0xffff_ffff_8000_0fff, 2)
	if err != nil || got != 0xbbaa {
		t.Fatalf("read %#x, %v", got, err)
	}
	if _, err := r.Word(0xffff_ffff_8000_1ffc); !errors.Is(err, guestmem.ErrUnreadable) {
		t.Errorf("a read past the last page: error %v", err)
	}
	copy(data[0x5ff8:], "abcdefgh")
	copy(data[0x9000:], "ij\x00k")
	if text, err := r.CString(0xffff_ffff_8000_0ff8, 100); err != nil || text != "abcdefghij" {
		t.Errorf("string %q, %v", text, err)
	}
	if text, err := r.CString(0xffff_ffff_8000_0ff8, 3); err != nil || text != "abc" {
		t.Errorf("bounded string %q, %v", text, err)
	}
}

func TestExtraLevel(t *testing.T) {
	ram, data, _ := tables(t)
	const p5 = 0x8000
	binary.LittleEndian.PutUint64(data[p5+8*0x1ff:], ramBase|1)
	s, err := guestmem.FromRegisters(ram, x86.AMD64(), map[string]uint64{"cr3": ramBase + p5, "cr4": 1 << 12})
	if err != nil {
		t.Fatal(err)
	}
	if gpa, _, err := s.Translate(0xffff_ffff_8000_0000); err != nil || gpa != ramBase+0x5000 {
		t.Fatalf("five levels: %#x, %v", uint64(gpa), err)
	}
	if _, err := guestmem.FromRegisters(ram, x86.AMD64(), nil); err == nil {
		t.Error("no registers were accepted")
	}
}

// longEntries is a 32-bit kernel whose page table entries have 64 bits.
type longEntries struct{ arch.Build }

func (longEntries) Member(_, path string, _ ...string) (uint64, bool) {
	return 8, path == "vm_page_prot"
}

// Three levels on 32 bits: the root has four entries and begins anywhere in a
// page, and memory lies above 4 GiB.
func TestLongEntries(t *testing.T) {
	for _, c := range []struct {
		row                *arch.Arch
		register           string
		table, block, page uint64 // bits of entries
	}{
		{x86.I386(), "cr3", 1, 1<<7 | 1, 1<<63 | 1},
		{arm.ARMv7(), "TTBR0", 3, 1, 1<<54 | 3},
	} {
		data := make([]byte, 0x4000)
		put := func(at int, v uint64) { binary.LittleEndian.PutUint64(data[at:], v) }
		const root, pmd, pte = 0x40, 0x1000, 0x2000
		put(root+8*3, ramBase+pmd|c.table)
		put(pmd, ramBase+pte|c.table)
		put(pmd+8, 0x1_4000_0000|c.block)
		put(pte+8, 0x2_0000_3000|c.page)
		ram, err := guestmem.NewRAM(guestmem.Piece{GPA: ramBase, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		a := c.row.Adapt(longEntries{})
		s, err := guestmem.FromRegisters(ram, a, map[string]uint64{c.register: ramBase + root})
		if err != nil {
			t.Fatal(err)
		}
		for gva, want := range map[guestmem.GVA]guestmem.GPA{0xc000_1234: 0x2_0000_3234, 0xc020_1234: 0x1_4000_1234} {
			if gpa, _, err := s.Translate(gva); err != nil || gpa != want {
				t.Errorf("%s: Translate(%#x) = %#x, %v; want %#x", a.Name, uint64(gva), uint64(gpa), err, uint64(want))
			}
		}
		for _, gva := range []guestmem.GVA{0x1000, 0xbfff_f000, 0xc000_2000, 0xc040_0000} {
			if _, _, err := s.Translate(gva); !errors.Is(err, guestmem.ErrUnreadable) {
				t.Errorf("%s: Translate(%#x): error %v", a.Name, uint64(gva), err)
			}
		}
		if len(c.row.Paging.Levels) != 2 {
			t.Errorf("%s: the row itself has %d levels", a.Name, len(c.row.Paging.Levels))
		}
	}
}

// An architecture whose tables are the kernel's alone, with blocks that are
// told by a bit that is clear.
func TestUpperHalf(t *testing.T) {
	data := make([]byte, 0x3000)
	put := func(at int, v uint64) { binary.LittleEndian.PutUint64(data[at:], v) }
	put(0, ramBase+0x1000|3)              // pgd[0]
	put(0x1000, ramBase+0x2000|3)         // pud[0]
	put(0x1000+8, 0x8000_0000|1)          // pud[1], a block of 1 GiB
	put(0x2000, 0x1_4000_0000|1|0x60<<48) // pmd[0], a block of 2 MiB with attributes
	ram, err := guestmem.NewRAM(guestmem.Piece{GPA: ramBase, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	// Address space number and other bits are in the root's register.
	s, err := guestmem.FromRegisters(ram, arm.ARM64(), map[string]uint64{"TTBR1_EL1": 0x55<<48 | ramBase | 1})
	if err != nil {
		t.Fatal(err)
	}
	for gva, want := range map[guestmem.GVA]guestmem.GPA{
		0xffff_0000_0000_1234: 0x1_4000_1234, 0xffff_0000_4000_0010: 0x8000_0010,
	} {
		if gpa, _, err := s.Translate(gva); err != nil || gpa != want {
			t.Errorf("Translate(%#x) = %#x, %v; want %#x", uint64(gva), uint64(gpa), err, uint64(want))
		}
	}
	for _, gva := range []guestmem.GVA{0x1234, 0xfffe_0000_0000_1234, 0xffff_0000_0020_0000} {
		if _, _, err := s.Translate(gva); !errors.Is(err, guestmem.ErrUnreadable) {
			t.Errorf("Translate(%#x): error %v", uint64(gva), err)
		}
	}
}

// Tables that only software reads, with physical addresses of further ones in
// them, and two places without tables.
func TestSoftwareTLB(t *testing.T) {
	data := make([]byte, 4*0x2000)
	put := func(at int, v uint64) { binary.BigEndian.PutUint64(data[at:], v) }
	const valid, huge = 1 << 63, 1 << 56
	put(0, ramBase+0x2000)                                      // pgd[0]
	put(0x2000, ramBase+0x4000)                                 // pud[0]
	put(0x4000+8*0x200, ramBase+0x6000)                         // pmd[0x200]
	put(0x4000+8*0x201, valid|huge|0x300_0000_0000|0x6000_0000) // pmd[0x201], with a cacheable page's bits below
	put(0x6000+8*2, valid|0x1234_2000|0xfb6)                    // pte[2]
	put(0x6000+8*3, 0x1234_4000|0xf36)                          // pte[3]: not valid
	ram, err := guestmem.NewRAM(guestmem.Piece{GPA: ramBase, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	s, err := guestmem.NewAddressSpace(ram, sparc.SPARC64(), ramBase)
	if err != nil {
		t.Fatal(err)
	}
	for gva, want := range map[guestmem.GVA]guestmem.GPA{
		0x1_0000_4321:         0x1234_2321,
		0x1_0080_0010:         0x300_6000_0010,
		0x40_4000:             0x40_4000, // the kernel's image
		0xffff_f800_1234_5678: 0x1234_5678,
	} {
		if gpa, _, err := s.Translate(gva); err != nil || gpa != want {
			t.Errorf("Translate(%#x) = %#x, %v; want %#x", uint64(gva), uint64(gpa), err, uint64(want))
		}
	}
	for _, gva := range []guestmem.GVA{0x1000, 0x1_0000_6000, 0x1_0100_0000, 0x2_0000_0000, 0x700_0000_0000, 0xffff_fff8_0000_0000} {
		if gpa, _, err := s.Translate(gva); !errors.Is(err, guestmem.ErrUnreadable) {
			t.Errorf("Translate(%#x) = %#x, %v", uint64(gva), uint64(gpa), err)
		}
	}
}

func TestRAM(t *testing.T) {
	for _, pieces := range [][]guestmem.Piece{
		{{GPA: 0, Data: make([]byte, 10)}, {GPA: 9, Data: make([]byte, 1)}},
		{{GPA: ^guestmem.GPA(0), Data: make([]byte, 2)}},
	} {
		if _, err := guestmem.NewRAM(pieces...); err == nil {
			t.Errorf("pieces %v were accepted", pieces)
		}
	}
	ram, err := guestmem.NewRAM(guestmem.Piece{GPA: 0x4000, Data: make([]byte, 8)}, guestmem.Piece{GPA: 0, Data: make([]byte, 8)}, guestmem.Piece{GPA: 0x1000})
	if err != nil {
		t.Fatal(err)
	}
	if r := ram.RAM(); len(r) != 2 || r[0] != (guestmem.Range[guestmem.GPA]{Start: 0, End: 8}) || r[1].Start != 0x4000 {
		t.Errorf("ranges %v", r)
	}
	if b, err := ram.ViewPhys(0x4006, 100); err != nil || len(b) != 2 {
		t.Errorf("view at the end: %d bytes, %v", len(b), err)
	}
	if _, err := ram.ViewPhys(8, 1); !errors.Is(err, guestmem.ErrUnreadable) {
		t.Errorf("view in the hole: %v", err)
	}
}

// FuzzTranslate walks random tables: any answer must be an error or lie in
// what the entry maps.
func FuzzTranslate(f *testing.F) {
	f.Add([]byte{0x03, 0, 0x10}, uint64(0xffff_ffff_8000_0000), uint64(ramBase))
	f.Add([]byte{0x81}, uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, gva, root uint64) {
		ram, err := guestmem.NewRAM(guestmem.Piece{GPA: ramBase, Data: data})
		if err != nil {
			t.Skip()
		}
		s, err := guestmem.NewAddressSpace(ram, x86.AMD64(), guestmem.GPA(root))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.View(guestmem.GVA(gva), 16); err == nil && (len(b) == 0 || len(b) > 16) {
			t.Fatalf("view of %d bytes", len(b))
		}
	})
}

func TestTables(t *testing.T) {
	_, data, s := tables(t)
	binary.LittleEndian.PutUint64(data[0x1000:], ramBase+0x2000|1) // the pmd once more
	all, once := []uint64{}, []uint64{}
	seen := map[guestmem.GPA]bool{}
	s.Tables(func(r guestmem.Range[guestmem.GPA]) bool {
		all = append(all, uint64(r.Start-ramBase))
		if r.Size() != 4096 {
			t.Errorf("a table of %d bytes", r.Size())
		}
		return true
	})
	s.Tables(func(r guestmem.Range[guestmem.GPA]) bool {
		if seen[r.Start] {
			return false
		}
		seen[r.Start] = true
		once = append(once, uint64(r.Start-ramBase))
		return true
	})
	if want := []uint64{0, 0x1000, 0x2000, 0x3000, 0x2000, 0x3000}; !slices.Equal(all, want) {
		t.Errorf("tables %#x, want %#x", all, want)
	}
	if want := []uint64{0, 0x1000, 0x2000, 0x3000}; !slices.Equal(once, want) {
		t.Errorf("tables %#x, want %#x", once, want)
	}
	s.WithRoot(1 << 40).Tables(func(guestmem.Range[guestmem.GPA]) bool {
		t.Error("a table outside of RAM")
		return true
	})
}

// Entries of Meta's first-level table say how large the pages below are.
func TestLargerPages(t *testing.T) {
	data := make([]byte, 0x3000)
	put := func(at int, v uint32) { binary.LittleEndian.PutUint32(data[at:], v) }
	put(4*0x100, ramBase+0x1000|1)        // pages of 4 KiB
	put(4*0x101, ramBase+0x2040|0xa<<1|1) // one page of 4 MiB
	put(4*0x102, ramBase+0x2080|0x8<<1|1) // four of 1 MiB
	put(4*0x103, ramBase+0x2080|0xf<<1|1) // more than there can be
	put(0x1000+4*2, 0x0800_0000|0x80|1)   // page 2
	put(0x2040, 0x0c00_0000|1)            // the page of 4 MiB
	put(0x2080+4*3, 0x0d30_0000|0x2<<1|1) // page 3 of 1 MiB
	ram, err := guestmem.NewRAM(guestmem.Piece{GPA: ramBase, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	s, err := guestmem.FromRegisters(ram, metag.Meta2(), map[string]uint64{"LOCAL_TABLE_PHYS0": 1, "LOCAL_TABLE_PHYS1": ramBase})
	if err != nil {
		t.Fatal(err)
	}
	for gva, want := range map[guestmem.GVA][2]uint64{
		0x4000_2345: {0x0800_0345, 0xcbb}, 0x4051_2345: {0x0c11_2345, 0x2e_dcbb}, 0x40b0_0010: {0x0d30_0010, 0xf_fff0},
	} {
		if gpa, left, err := s.Translate(gva); err != nil || uint64(gpa) != want[0] || left != want[1] {
			t.Errorf("Translate(%#x) = %#x, %#x, %v; want %#x", uint64(gva), uint64(gpa), left, err, want)
		}
	}
	for _, gva := range []guestmem.GVA{0x4000_1000, 0x40a0_0000, 0x40c0_0000, 0xc000_2345} {
		if gpa, _, err := s.Translate(gva); !errors.Is(err, guestmem.ErrUnreadable) {
			t.Errorf("Translate(%#x) = %#x, error %v", uint64(gva), uint64(gpa), err)
		}
	}
	var found []guestmem.GPA
	s.Tables(func(r guestmem.Range[guestmem.GPA]) bool { found = append(found, r.Start, r.End); return true })
	want := []guestmem.GPA{ramBase, ramBase + 0x800, ramBase + 0x1000, ramBase + 0x2000,
		ramBase + 0x2040, ramBase + 0x2044, ramBase + 0x2080, ramBase + 0x2090, ramBase + 0x2080, ramBase + 0x2084}
	if !slices.Equal(found, want) {
		t.Errorf("tables %#x, want %#x", found, want)
	}
	off, err := guestmem.FromRegisters(ram, metag.Meta2(), map[string]uint64{"LOCAL_TABLE_PHYS0": 0, "LOCAL_TABLE_PHYS1": ramBase})
	if err != nil {
		t.Fatal(err)
	}
	if gpa, _, err := off.Translate(ramBase + 5); err != nil || gpa != ramBase+5 {
		t.Errorf("without translation: %#x, %v", uint64(gpa), err)
	}
}
