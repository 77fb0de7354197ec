package symbols

import (
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch/arm"
)

// ehMemory is a table at 0x1000 with what it refers to behind it.
func ehMemory(words ...uint32) ([]byte, func(uint64, []byte) error) {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b, func(addr uint64, buf []byte) error {
		if addr < 0x1000 || addr-0x1000 > uint64(len(b)) || uint64(len(b))-(addr-0x1000) < uint64(len(buf)) {
			return ErrNoContent
		}
		copy(buf, b[addr-0x1000:])
		return nil
	}
}

func TestReadEHTable(t *testing.T) {
	const minus = 0x7fff_ffff &^ 0xfff // prel31 of 0x1000 below
	b, read := ehMemory(
		minus+0x100, 0x80a8_b0b0, // 0x100: pop {r4, lr}
		minus+0x200-8, 1, // 0x200: cannot be unwound
		minus+0x300-16, 0x2c-0x14, // 0x300: elsewhere, at +0x2c
		minus+0x400-24, 0x2c-0x14, // 0x400: at +0x34, a personality routine
		minus+0x500-32, 0x4000, // 0x500: at an address that has no memory
		0,
		0x8101_9bb1, 0x0f84_80b0, // two opcodes and a word more
		0x7fff_0000,
	)
	// prel31 is relative to its own place, which differs by 8 each.
	table, err := ReadEHTable(arm.ARMv7(), b[:40], 0x1000, read)
	if err != nil {
		t.Fatal(err)
	}
	for pc, want := range map[uint32][]byte{
		0x100: {0xa8, 0xb0, 0xb0}, 0x1ff: {0xa8, 0xb0, 0xb0}, 0x2ff: nil,
		0x3fc: {0x9b, 0xb1, 0x0f, 0x84, 0x80, 0xb0}, 0x400: nil, 0x7fff_0000: nil,
	} {
		if ops, ok := table.find(pc); !ok || !reflect.DeepEqual(ops, want) {
			t.Errorf("%#x: % x, %v; want % x", pc, ops, ok, want)
		}
	}
	if _, ok := table.find(0xff); ok {
		t.Error("there is something below the first function")
	}
	b, read = ehMemory(0x200, 1, 0x100, 1)
	if _, err := ReadEHTable(arm.ARMv7(), b, 0x1000, read); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a table out of order: %v", err)
	}
}

func TestEHRun(t *testing.T) {
	var b []byte
	for i := range uint32(64) {
		b = binary.LittleEndian.AppendUint32(b, 0x1000+i)
	}
	binary.LittleEndian.PutUint32(b[13*4:], 0x8080) // the exception's stack pointer
	stack := copied{arm.ARMv7(), 0x8000, b}
	for name, c := range map[string]struct {
		ops    []byte
		sp     uint32
		lr, pc uint32 // zero: not known
	}{
		"pop r4 and lr": {[]byte{0xa8, 0xb0, 0xb0}, 0x8008, 0x1001, 0},
		"add and pop":   {[]byte{0x01, 0x80 | 4, 0x01}, 0x8010, 0x1003, 0},   // + 8, {r4, lr}
		"frame pointer": {[]byte{0x9b, 0x41, 0x84, 0x80}, 0x801c, 0x1006, 0}, // sp = r11 - 8, {r11, lr}
		"exception":     {[]byte{0xb1, 0x0f, 0x8f, 0xff}, 0x8080, 0x100e, 0x100f},
		"far":           {[]byte{0xb2, 0x80, 0x01}, 0x8000 + 0x204 + 0x200, 0, 0},
	} {
		var s ehState
		s.set(ehSP, 0x8000)
		s.set(ehFP, 0x801c)
		if err := s.run(c.ops, stack); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.r[ehSP] != c.sp || s.r[ehLR] != c.lr || s.r[ehPC] != c.pc {
			t.Errorf("%s: sp %#x, lr %#x, pc %#x", name, s.r[ehSP], s.r[ehLR], s.r[ehPC])
		}
	}
	for name, ops := range map[string][]byte{
		"refused": {0x80, 0x00}, "register not known": {0x94}, "reserved": {0x9d}, "beyond the stack": {0x3f, 0xa8}, "vfp": {0xc9, 0x00},
	} {
		var s ehState
		s.set(ehSP, 0x8000)
		if err := s.run(ops, stack); !errors.Is(err, errEH) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzEHRun(f *testing.F) {
	f.Add([]byte{0xa8, 0xb0}, []byte("0123456789abcdef"))
	f.Add([]byte{0xb2, 0xff, 0xff, 0xff, 0xff, 0xff, 0x9b, 0x8f, 0xff}, []byte{})
	f.Fuzz(func(t *testing.T, ops, b []byte) {
		var s ehState
		s.set(ehSP, 0x8000)
		_ = s.run(ops, copied{arm.ARMv7(), 0x8000, b})
	})
}
