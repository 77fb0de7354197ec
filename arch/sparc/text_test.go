package sparc

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

func words(w ...uint32) []byte {
	var b []byte
	for _, x := range w {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

// Instructions, as GNU as encodes them.
const (
	nop       = 0x0100_0000
	returnI7  = 0x81cf_e008 // return %i7+8
	retI7     = 0x81c7_e008 // ret
	retl      = 0x81c3_e008
	restoreIt = 0x81e8_0000 // restore
)

func TestExits(t *testing.T) {
	const at = 0x40_4000
	b := words(
		0x9de3_bf50, // +0 save %sp,-176,%sp
		0x4000_0400, // +4 call +0x1000: no exit
		nop,
		0x0260_0004, // +12 be,pn %xcc,+16: stays inside
		nop,
		0x4000_0800, // +20 call +0x2000
		0x91e8_0011, // +24 restore %g0,%l1,%o0
		0x8210_000f, // +28 mov %o7,%g1
		0x4000_0c00, // +32 call +0x3000
		0x9e10_0001, // +36 mov %g1,%o7
		0x1240_0100, // +40 bne,pn %icc,+0x400
		nop,
		0x02f2_3f00, // +48 brz,pn %o0,-0x400
		nop,
		0x3080_0200, // +56 ba,a +0x800
		returnI7,    // +60
		nop,
		returnI7,    // +68
		0x9010_000d, // +72 mov %o5,%o0
		returnI7,    // +76
		0x9010_3ff4, // +80 mov -12,%o0
		returnI7,    // +84
		0x913a_2000, // +88 sra %o0,0,%o0
		returnI7,    // +92
		0x9002_0001, // +96 add %o0,%g1,%o0
		retI7,       // +100
		0x91e8_0008, // +104 restore %g0,%o0,%o0
		retI7,       // +108
		0x91ee_0011, // +112 restore %i0,%l1,%o0
		retI7,       // +116
		restoreIt,   // +120
		retl,        // +124
		nop,
		retl,        // +132
		0x9010_0001, // +136 mov %g1,%o0
		retl,        // +140
		0x9010_0000, // +144 clr %o0
		retl,        // +148
		0x9022_2008, // +152 sub %o0,8,%o0
		retl,        // +156
		0x9c03_a040, // +160 add %sp,64,%sp
		0x81c3_e00c, // +164 jmp %o7+12
		0xc272_4000, // +168 stx %g1,[%o1]
		0x81c0_4000, // +172 jmp %g1: a jump table
		nop,
	)
	exits, err := text{}.Exits(at, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	minus := func(n uint64) uint64 { return -n }
	want := []arch.Exit{
		{Addr: at + 20, Tail: at + 20 + 0x2000},
		{Addr: at + 32, Tail: at + 32 + 0x3000},
		{Addr: at + 40, Tail: at + 40 + 0x400},
		{Addr: at + 48, Tail: at + 48 - 0x400},
		{Addr: at + 56, Tail: at + 56 + 0x800},
		{Addr: at + 60, SP: "i6", Result: &arch.Sum{Register: "i0"}},
		{Addr: at + 68, SP: "i6", Result: &arch.Sum{Register: "i5"}},
		{Addr: at + 76, SP: "i6", Result: &arch.Sum{Add: minus(12)}},
		{Addr: at + 84, SP: "i6", Result: &arch.Sum{Register: "i0", Signed: 32}},
		{Addr: at + 92, SP: "i6", Result: &arch.Sum{Register: "i0", With: "g1"}},
		{Addr: at + 100, SP: "i6", Result: &arch.Sum{Register: "o0"}},
		{Addr: at + 108, SP: "i6", Result: &arch.Sum{Register: "i0", With: "l1"}},
		{Addr: at + 116, SP: "i6", Result: &arch.Sum{Register: "i0"}},
		{Addr: at + 124},
		{Addr: at + 132, Result: &arch.Sum{Register: "g1"}},
		{Addr: at + 140, Result: &arch.Sum{}},
		{Addr: at + 148, Result: &arch.Sum{Register: "o0", Add: minus(8)}},
		{Addr: at + 156, Pop: 64},
		{Addr: at + 164},
	}
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v,\nwant %+v", exits, want)
	}
	for name, slot := range map[string]uint32{
		"and %o0,1,%o0": 0x900a_2001, "ldx [%o0+8],%o0": 0xd05a_2008, "sra %o0,3,%o0": 0x913a_2003,
		"movne %icc,1,%o0": 0x9166_6001, "sub %o0,%g1,%o0": 0x9022_0001, "or %o0,1,%o0": 0x9012_2001,
		"mulx %o0,%g1,%o0": 0x904a_0001, "sethi %hi(0x4000),%o0": 0x1100_0010, "mov %i0,%sp": 0x9c10_0018,
	} {
		for _, ret := range []uint32{retl, returnI7} {
			if _, err := (text{}).Exits(at, words(ret, slot), nil); err == nil {
				t.Errorf("%s was accepted behind %#x", name, ret)
			}
		}
	}
	for name, code := range map[string][]byte{
		"no delay slot": words(returnI7), "two windows": words(returnI7, restoreIt), "no window": words(retI7, nop),
		"the caller's register": words(returnI7, 0x9010_0010), "a part": {0x81},
	} {
		if _, err := (text{}).Exits(at, code, nil); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for name, slot := range map[string]uint32{
		"stx %o0,[%g1]": 0xd070_4000, "mov 1,%o1": 0x9210_2001, "cmp %o0,0": 0x80a2_2000, "fmovs %f0,%f8": 0x91a0_0020,
		"prefetch [%o0],1": 0xc36a_0000, "casx [%g1],%g2,%o1": 0xd3f0_5002, "fcmps %fcc1,%f0,%f1": 0x83a8_0a21,
		"ldx [%o0],%o1": 0xd25a_0000, "ldd [%o0],%f8": 0xd11a_0000, "stb %o0,[%g1]": 0xd028_4000,
	} {
		if exits, err := (text{}).Exits(at, words(retl, slot), nil); err != nil || !reflect.DeepEqual(exits, []arch.Exit{{Addr: at}}) {
			t.Errorf("%s: %+v, %v", name, exits, err)
		}
	}
}

func FuzzExits(f *testing.F) {
	f.Add(words(0x9de3_bf50, 0x4000_0800, 0x91e8_0011, returnI7, 0x9010_000d), uint64(0x40_4000))
	f.Add(words(0x02f2_3f00, nop, retI7, 0x91ee_0011, retl), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, addr uint64) {
		exits, err := text{}.Exits(addr, b, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(b)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
	})
}
