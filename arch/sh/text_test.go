package sh

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

func halves(h ...uint16) []byte {
	var b []byte
	for _, x := range h {
		b = binary.LittleEndian.AppendUint16(b, x)
	}
	return b
}

// The encodings are GNU as's.
func TestExits(t *testing.T) {
	const at = 0x8c01_0000
	b := halves(
		0x2f86, // +0 mov.l r8,@-r15
		0x4f22, // +2 sts.l pr,@-r15
		0x7ff8, // +4 add #-8,r15
		0xd10e, // +6 mov.l +64,r1
		0x410b, // +8 jsr @r1: no exit
		0x6843, // +10 mov r4,r8
		0x9216, // +12 mov.w +60,r2
		0x8901, // +14 bt +20: stays inside
		0x8f4c, // +16 bf/s +172
		0x0009, // +18 nop
		0x4f26, // +20 lds.l @r15+,pr
		0x000b, // +22 rts
		0x68f6, // +24 mov.l @r15+,r8
		0x000b, // +26 rts
		0x6083, // +28 mov r8,r0
		0x000b, // +30 rts
		0xe0f4, // +32 mov #-12,r0
		0x000b, // +34 rts
		0x7008, // +36 add #8,r0
		0x000b, // +38 rts
		0x6fe3, // +40 mov r14,r15
		0x000b, // +42 rts
		0x7f04, // +44 add #4,r15
		0x0123, // +46 braf r1: a jump table
		0x0009, // +48 nop
		0xd303, // +50 mov.l +64,r3
		0x432b, // +52 jmp @r3
		0x0009, // +54 nop
		0xa038, // +56 bra +172
		0x0009, // +58 nop
		0x000b, // +60 a constant
		0x0009, // +62 nop
		0x000b, // +64 a constant
		0x8c00, // +66
		0x422b, // +68 jmp @r2: a jump table
		0x0009, // +70 nop
	)
	exits, err := text{}.Exits(at, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []arch.Exit{
		{Addr: at + 16, Tail: at + 172},
		{Addr: at + 22, Pop: 4},
		{Addr: at + 26, Result: &arch.Sum{Register: "r8"}},
		{Addr: at + 30, Result: &arch.Sum{Add: ^uint64(11)}},
		{Addr: at + 34, Result: &arch.Sum{Register: "r0", Add: 8}},
		{Addr: at + 38, SP: "r14"},
		{Addr: at + 42, Pop: 4},
		{Addr: at + 52, Tail: 0x8c00_000b},
		{Addr: at + 56, Tail: at + 172},
	}
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v,\nwant %+v", exits, want)
	}
	for name, slot := range map[string]uint16{
		"movt r0": 0x0029, "mov.l @r4,r0": 0x6042, "mov r4,r15": 0x6f43, "sub r5,r0": 0x3058, "and #1,r0": 0xc901,
		"sts macl,r0": 0x001a, "shll2 r0": 0x4008, "mov.b @(4,r4),r0": 0x8444, "mov.l @r15+,r0": 0x60f6,
	} {
		if _, err := (text{}).Exits(at, halves(rts, slot), nil); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for name, slot := range map[string]uint16{"nop": 0x0009, "mov.l r0,@r4": 0x2402, "mov #1,r1": 0xe101, "cmp/eq #0,r0": 0x8800} {
		if exits, err := (text{}).Exits(at, halves(rts, slot), nil); err != nil || !reflect.DeepEqual(exits, []arch.Exit{{Addr: at}}) {
			t.Errorf("%s: %+v, %v", name, exits, err)
		}
	}
	if _, err := (text{}).Exits(at, halves(rts), nil); err == nil {
		t.Error("a return without a delay slot was accepted")
	}
}

func TestFrame(t *testing.T) {
	for name, c := range map[string]struct {
		code      []byte
		size, ret uint64
		ok        bool
	}{
		"called": {halves(0x2f86, 0x4f22, 0x7ff8, 0xd10e, 0x410b, 0x6843), 16, 8, true},
		"late":   {halves(0x8901, 0x0009, 0x000b, 0x0009, 0x4f22, 0x2f86), 8, 4, true},
		"leaf":   {halves(0x2f86, 0x7ff8), 0, 0, false},
		"large":  {halves(0x4f22, 0x9116, 0x3f18), 0, 0, false},
		"none":   {nil, 0, 0, false},
	} {
		size, ret, ok := text{}.Frame(c.code)
		if ok != c.ok || ok && (size != c.size || ret != c.ret) {
			t.Errorf("%s: %d, %d, %v", name, size, ret, ok)
		}
	}
}

func FuzzExits(f *testing.F) {
	f.Add(halves(0xd10e, rts, 0x68f6, 0x412b, 0x9fff), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, addr uint64) {
		exits, err := text{}.Exits(addr, b, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(b)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
		text{}.Frame(b)
	})
}
