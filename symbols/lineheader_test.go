package symbols

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// lineTestHeader makes a line table without rows, little-endian: its header's
// lists are given.
func lineTestHeader(version uint16, lists ...byte) []byte {
	fields := []byte{1, 1, 1, 0xfb, 14, 1} // sizes, line base and range; no opcodes
	if version < 4 {
		fields = fields[1:]
	}
	b := binary.LittleEndian.AppendUint16(nil, version)
	if version >= 5 {
		b = append(b, 8, 0)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(fields)+len(lists)))
	b = append(append(b, fields...), lists...)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// TestLineHeader gives line tables whose headers promise more than there is.
// debug/dwarf alone would end the process for want of memory, or not end.
func TestLineHeader(t *testing.T) {
	long := append(bytes.Repeat([]byte{'d'}, 1<<20), 0)
	many := bytes.Repeat([]byte("f\x00\x01\x00\x00"), 100)
	huge := binary.AppendUvarint(nil, 1<<40)
	plain := []byte{1, 1, 0x08} // a name in the list itself
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := []struct {
		name string
		line []byte
		want error
	}{
		{"5", lineTestHeader(5, cat(plain, []byte("\x01/d\x00"), plain, []byte("\x01f\x00"))...), nil},
		{"4", lineTestHeader(4, []byte("d\x00\x00f\x00\x01\x00\x00\x00")...), nil},
		{"2", lineTestHeader(2, []byte("d\x00\x00f\x00\x01\x00\x00\x00")...), nil},
		{"directories of nothing", lineTestHeader(5, cat([]byte{0}, huge)...), errLineHeader},
		{"more directories than there are", lineTestHeader(5, cat(plain, huge)...), errLineHeader},
		{"more files than there are", lineTestHeader(5, cat([]byte{0, 0}, plain, huge, []byte("f\x00"))...), errLineHeader},
		{"files of an unknown form", lineTestHeader(5, cat([]byte{0, 0, 1, 1, 0x7f}, huge)...), errLineHeader},
		{"a name without end", lineTestHeader(5, cat(plain, []byte("\x01dd"))...), errLineHeader},
		{"a name outside its section", lineTestHeader(5, 1, 1, 0x1f, 1, 0xff, 0xff, 0xff, 0xff), errLineHeader},
		{"files in a long directory", lineTestHeader(4, cat(long, []byte{0}, many, []byte{0})...), errLineNames},
		{"files without end", lineTestHeader(4, many...), errLineHeader},
		{"cut short", lineTestHeader(5, plain...)[:8], errLineHeader},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := withSections(t, map[string][]byte{".debug_line": test.line})
			im, err := newImage("file", b, nil)
			if err != nil {
				t.Fatal(err)
			}
			s, err := im.Symbol("function")
			if err != nil {
				t.Fatal(err)
			}
			_, err = im.lineRow(s.Addr)
			if !errors.Is(err, test.want) || err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
