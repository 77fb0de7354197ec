package arm

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

func words(w ...uint32) []byte {
	var b []byte
	for _, x := range w {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

// The encodings are GNU as's.
func TestExits64(t *testing.T) {
	const at, thunk = 0xffff_8000_0801_0000, 0xffff_8000_0801_0100
	code := words(
		0xd503233f, // +0 paciasp
		0x54000040, // +4 b.eq +12: stays inside
		0x94000040, // +8 bl: no exit
		0xb4000781, // +12 cbz x1, +240+12: outside
		0x36f80781, // +16 tbz w1, #31, +240+16: outside
		0xd61f0200, // +20 br x16: a jump table
		0xd65f03c0, // +24 ret
		0xd65f0bff, // +28 retaa
		0x17fffff0, // +32 b -64: before the function
		0x14000037, // +36 b +220: the thunk
		0xd69f03e0, // +40 eret
		0xd503201f, // +44 nop
	)
	exits, err := text64{}.Exits(at, code, map[uint64]bool{thunk: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []arch.Exit{
		{Addr: at + 12, Tail: at + 252}, {Addr: at + 16, Tail: at + 256}, {Addr: at + 24}, {Addr: at + 28},
		{Addr: at + 32, Tail: at - 32}, {Addr: at + 36}, {Addr: at + 40},
	}
	want[1] = arch.Exit{Addr: at + 16} // which is the thunk
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v,\nwant %+v", exits, want)
	}
	for _, odd := range []uint64{at + 2, at} {
		if _, err := (text64{}).Exits(odd, code[:odd&2+6], nil); err == nil {
			t.Errorf("half an instruction at %#x was accepted", odd)
		}
	}
}

func FuzzExits64(f *testing.F) {
	f.Add(words(0xd65f03c0, 0x17ffffff), uint64(0))
	f.Add(words(0x54ffffe0), ^uint64(3))
	f.Fuzz(func(t *testing.T, code []byte, addr uint64) {
		exits, err := text64{}.Exits(addr, code, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(code)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
	})
}
