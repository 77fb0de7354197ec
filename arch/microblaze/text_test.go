package microblaze

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

func words(order binary.AppendByteOrder, w ...uint32) []byte {
	var b []byte
	for _, x := range w {
		b = order.AppendUint32(b, x)
	}
	return b
}

// inBothOrders runs a test for code of each byte order.
func inBothOrders(t *testing.T, test func(t *testing.T, dis text, words func(...uint32) []byte)) {
	for name, order := range map[string]interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}{"big": binary.BigEndian, "little": binary.LittleEndian} {
		t.Run(name, func(t *testing.T) {
			test(t, text{order}, func(w ...uint32) []byte { return words(order, w...) })
		})
	}
}

// The encodings are GNU as's.
func TestExits(t *testing.T) { inBothOrders(t, testExits) }

func testExits(t *testing.T, dis text, words func(...uint32) []byte) {
	const at = 0xc000_1000
	exits, err := dis.Exits(at, words(
		0x3021ffc0, // +0 addik r1,r1,-64
		0xf9e10000, // +4 swi r15,r1,0
		0xb000c010, // +8 imm
		0xb9f40400, // +12 brlid r15,…: no exit
		0x80000000, // +16 or r0,r0,r0
		0xbc030008, // +20 beqi r3,8: stays inside
		0xbe240400, // +24 bneid r4,+1024
		0x10000000, // +28 addk r0,r0,r0
		0xb60f0008, // +32 rtsd r15,8
		0x30210040, // +36 addik r1,r1,64
		0xb60f0008, // +40 rtsd r15,8
		0x10730000, // +44 addk r3,r19,r0
		0xb60f0008, // +48 rtsd r15,8
		0x3060fff4, // +52 addik r3,r0,-12
		0xb60f0008, // +56 rtsd r15,8
		0x80600000, // +60 or r3,r0,r0
		0xb60f0008, // +64 rtsd r15,8
		0xf8650004, // +68 swi r3,r5,4
		0xb800fc00, // +72 bri -1024
		0xb000c010, // +76 imm
		0xb8080400, // +80 brai 0xc0100400
		0x98082800, // +84 bra r5: a jump table
		0xb62e0000, // +88 rtid r14,0
		0xb9cc0008, // +92 brki r14,8
		0xb000000f, // +96 imm
		0xb8100000, // +100 brid +0xf0000
		0x30210040, // +104 addik r1,r1,64
	), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []arch.Exit{
		{Addr: at + 24, Tail: at + 24 + 1024},
		{Addr: at + 32, Pop: 64},
		{Addr: at + 40, Result: &arch.Sum{Register: "r19"}},
		{Addr: at + 48, Result: &arch.Sum{Add: ^uint64(11)}},
		{Addr: at + 56, Result: &arch.Sum{}},
		{Addr: at + 64},
		{Addr: at + 72, Tail: at + 72 - 1024},
		{Addr: at + 80, Tail: 0xc010_0400},
		{Addr: at + 100, Tail: at + 100 + 0xf_0000},
	}
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v,\nwant %+v", exits, want)
	}
	for name, bad := range map[string][]uint32{
		"lwi r3,r5,4":          {0xb60f0008, 0xe8650004},
		"bsrli r3,r3,4":        {0xb60f0008, 0x64630004},
		"addk r3,r4,r5":        {0xb60f0008, 0x10642800},
		"addk r1,r19,r0":       {0xb60f0008, 0x10330000},
		"no delay slot at all": {0xb60f0008},
	} {
		if exits, err := dis.Exits(at, words(bad...), nil); err == nil {
			t.Errorf("%s was accepted: %+v", name, exits)
		}
	}
}

func TestFrame(t *testing.T) { inBothOrders(t, testFrame) }

func testFrame(t *testing.T, dis text, words func(...uint32) []byte) {
	for name, c := range map[string]struct {
		code      []uint32
		size, ret uint64
		ok        bool
	}{
		"frame":   {[]uint32{0x3021ffc0, 0xf9e10000, 0xfa61001c, 0xb9f40400}, 64, 0, true},
		"leaf":    {[]uint32{0x10650000, 0xb60f0008}, 0, 0, false},
		"unsaved": {[]uint32{0x3021ffc0, 0xb9f40400}, 64, 0, false},
		"outside": {[]uint32{0x3021ffc0, 0xf9e10040}, 64, 64, false},
		"nothing": {},
	} {
		size, ret, ok := dis.Frame(words(c.code...))
		if ok != c.ok || ok && (size != c.size || ret != c.ret) {
			t.Errorf("%s: %d, %d, %v", name, size, ret, ok)
		}
	}
}

func FuzzExits(f *testing.F) {
	f.Add(words(binary.BigEndian, 0xb60f0008, 0x30210040, 0xb8000100), uint64(0xc000_0000))
	f.Add(words(binary.BigEndian, 0xb000ffff, 0xbc03ffff), uint64(0))
	f.Fuzz(func(t *testing.T, code []byte, addr uint64) {
		exits, err := text{binary.BigEndian}.Exits(addr, code, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(code)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
		_, _, _ = text{binary.BigEndian}.Frame(code)
	})
}
