package symbols

import (
	"encoding/binary"
	"errors"
	"testing"
)

// layoutOf returns the layout of one of testdata's generations of struct
// orc_entry.
func layoutOf(t testing.TB, im *Image, name string) *orcLayout {
	t.Helper()
	s, err := im.Struct(name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := orcLayoutOf(s, im.elf.ByteOrder)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestORCRows decodes what the compiler made of the same rule in the three
// generations of the format.
func TestORCRows(t *testing.T) {
	for _, file := range linked {
		im := open(t, file)
		for name, kind := range map[string]uint8{"orc_4_14": orcRegsPartial, "orc_6_3": orcRegsPartial, "orc_entry": orcRegs} {
			l := layoutOf(t, im, name)
			v, err := im.Symbol(name)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, l.size)
			if err := im.Read(v.Addr, b); err != nil {
				t.Fatal(err)
			}
			want := orcRow{spOffset: -16, bpOffset: 40, spReg: orcRegSP, bpReg: orcRegBP, kind: kind}
			if got := l.row(b); got != want {
				t.Errorf("%s %s: %+v, want %+v", file, name, got, want)
			}
		}
	}
}

// TestORCKinds decodes the little-endian bit patterns of each kind.
func TestORCKinds(t *testing.T) {
	im := open(t, "amd64.elf")
	for _, c := range []struct {
		layout string
		bits   uint16 // behind the two offsets
		want   uint8
	}{
		{"orc_4_14", 0x000, orcUndefined},
		{"orc_4_14", 0x400, orcEndOfStack},
		{"orc_4_14", 0x005, orcCall},
		{"orc_4_14", 0x105, orcRegs},
		{"orc_4_14", 0x205, orcRegsPartial},
		{"orc_6_3", 0x000, orcUndefined},
		{"orc_6_3", 0x800, orcEndOfStack},
		{"orc_6_3", 0x405, orcCall}, // signal
		{"orc_6_3", 0x105, orcRegs},
		{"orc_entry", 0x000, orcUndefined},
		{"orc_entry", 0x100, orcEndOfStack},
		{"orc_entry", 0x205, orcCall},
		{"orc_entry", 0xb05, orcRegs}, // signal
		{"orc_entry", 0x405, orcRegsPartial},
	} {
		b := binary.LittleEndian.AppendUint16(make([]byte, 4), c.bits)
		if got := layoutOf(t, im, c.layout).row(b).kind; got != c.want {
			t.Errorf("%s %#x: kind %d, want %d", c.layout, c.bits, got, c.want)
		}
	}
}

func TestORCLayoutUnknown(t *testing.T) {
	im := open(t, "amd64.elf")
	s, err := im.Struct("list_head")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := orcLayoutOf(s, binary.LittleEndian); !errors.Is(err, ErrNotFound) {
		t.Errorf("a structure without the members: %v", err)
	}
	if s, err = im.Struct("orc_4_14"); err != nil {
		t.Fatal(err)
	}
	s.types[0].Members = s.types[0].Members[:5] // no "end", and two bits of type
	if l, err := orcLayoutOf(s, binary.LittleEndian); err == nil {
		t.Errorf("an unknown generation is read as %+v", l)
	}
	if s, err = im.Struct("orc_entry"); err != nil {
		t.Fatal(err)
	}
	s.types[0].Members[0].Offset = 6
	if _, err := orcLayoutOf(s, binary.LittleEndian); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a member behind the end: %v", err)
	}
}

// orcRule is one line of a table to be made.
type orcRule struct {
	at uint64
	orcRow
}

// makeORC makes the two tables in the newest format, the first for ipAddr.
func makeORC(rules []orcRule, ipAddr uint64) (ip, entries []byte) {
	for i, r := range rules {
		ip = binary.LittleEndian.AppendUint32(ip, uint32(r.at-(ipAddr+uint64(i)*4)))
		entries = binary.LittleEndian.AppendUint16(entries, uint16(r.spOffset))
		entries = binary.LittleEndian.AppendUint16(entries, uint16(r.bpOffset))
		entries = append(entries, r.spReg|r.bpReg<<4, r.kind)
	}
	return ip, entries
}

func TestORCTable(t *testing.T) {
	im := open(t, "amd64.elf")
	l := layoutOf(t, im, "orc_entry")
	row := func(n int16) orcRow { return orcRow{spOffset: n, spReg: orcRegSP, kind: orcCall} }
	for name, rules := range map[string][]orcRule{
		"sorted":   {{0x1000, row(8)}, {0x1004, row(16)}, {0x1004, row(24)}, {0x2000, row(32)}},
		"unsorted": {{0x2000, row(32)}, {0x1004, row(16)}, {0x1000, row(8)}, {0x1004, row(24)}},
	} {
		const ipAddr = 0xffff_f000 // offsets reach backwards
		for i := range rules {
			rules[i].at += 0xffff_0000
		}
		ip, entries := makeORC(rules, ipAddr)
		table, err := newORCTable(l, ip, entries, ipAddr)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := table.find(0xffff_0fff); ok {
			t.Errorf("%s: a rule before the first", name)
		}
		for pc, want := range map[uint64]int16{0x1000: 8, 0x1003: 8, 0x1004: 24, 0x1fff: 24, 0x2000: 32, 0x9999: 32} {
			if got, ok := table.find(0xffff_0000 + pc); !ok || got.spOffset != want {
				t.Errorf("%s: find(%#x) = %+v, %v; want offset %d", name, pc, got, ok, want)
			}
		}
		for _, cut := range [][2]int{{1, 0}, {4, 0}, {0, 1}, {0, 6}} {
			if _, err := newORCTable(l, ip[cut[0]:], entries[cut[1]:], ipAddr); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: tables cut by %v: %v", name, cut, err)
			}
		}
	}
	empty, err := newORCTable(l, nil, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := empty.find(0x1000); ok {
		t.Error("an empty table has a rule")
	}
}
