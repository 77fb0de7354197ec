package ppc

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
func TestExits(t *testing.T) {
	const at = 0xc000_0000_0010_0000
	exits, err := text{binary.LittleEndian}.Exits(at, words(
		0x7c0802a6,  // +0 mflr r0
		0x4800_0101, // +4 bl: no exit
		0x4182_0008, // +8 beq +16: stays inside
		0x4d82_0020, // +12 beqlr
		0x4c9e_0020, // +16 bnelr cr7
		0x4e80_0420, // +20 bctr: a jump table
		0x4e80_0020, // +24 blr
		0x4800_0100, // +28 b +284
		0x4bff_ff00, // +32 b -224
	), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []arch.Exit{
		{Addr: at + 12, If: &arch.Condition{Register: "cr", Shift: 29, Taken: 0xaaaa}},
		{Addr: at + 16, If: &arch.Condition{Register: "cr", Shift: 1, Taken: 0x5555}},
		{Addr: at + 24}, {Addr: at + 28, Tail: at + 284}, {Addr: at + 32, Tail: at - 224},
	}
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v,\nwant %+v", exits, want)
	}
	if _, err := (text{binary.LittleEndian}).Exits(at, words(0x4e00_0020), nil); err == nil { // bdnzlr
		t.Error("a return that counts was accepted")
	}
}

func FuzzExits(f *testing.F) {
	f.Add(words(0x4e800020, 0x48000100), uint64(0))
	f.Fuzz(func(t *testing.T, code []byte, addr uint64) {
		exits, err := text{binary.LittleEndian}.Exits(addr, code, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(code)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
	})
}
