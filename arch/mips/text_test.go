package mips

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

// The encodings are GNU as's.
func TestExits(t *testing.T) {
	const at = 0x8010_0000
	for _, order := range []interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}{binary.LittleEndian, binary.BigEndian} {
		exits, err := text{order}.Exits(at, words(order,
			0x0c040040, // +0 jal: no exit
			0x27bdffc0, // +4 addiu sp,sp,-64
			0x10400001, // +8 beqz v0,+16: stays inside
			0x00000000, // +12 nop
			0x03e00008, // +16 jr ra
			0x27bd0040, // +20 addiu sp,sp,64
			0x03e00008, // +24 jr ra
			0x02001025, // +28 move v0,s0
			0x03e00008, // +32 jr ra
			0x2402fff4, // +36 li v0,-12
			0x03e00008, // +40 jr ra
			0x24820008, // +44 addiu v0,a0,8
			0x03e00008, // +48 jr ra
			0xac820000, // +52 sw v0,0(a0)
			0x00400008, // +56 jr v0: a jump table
			0x00000000, // +60 nop
			0x08040080, // +64 j 0x80100200
			0x27bd0040, // +68 addiu sp,sp,64
			0x1000ffe0, // +72 b -52
			0x00000000, // +76 nop
			0x54400010, // +80 bnezl v0,+148
			0x00000000, // +84 nop
			0x04110002, // +88 bal: no exit
			0x00000000, // +92 nop
			0x03e00008, // +96 jr ra
			0x3c020001, // +100 lui v0,0x1
		), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []arch.Exit{
			{Addr: at + 16, Pop: 64},
			{Addr: at + 24, Result: &arch.Sum{Register: "s0"}},
			{Addr: at + 32, Result: &arch.Sum{Add: ^uint64(11)}},
			{Addr: at + 40, Result: &arch.Sum{Register: "a0", Add: 8}},
			{Addr: at + 48},
			{Addr: at + 64, Tail: at + 0x200},
			{Addr: at + 72, Tail: at - 52},
			{Addr: at + 80, Tail: at + 148},
			{Addr: at + 96, Result: &arch.Sum{Add: 0x10000}},
		}
		if !reflect.DeepEqual(exits, want) {
			t.Fatalf("%v: exits %+v,\nwant %+v", order, exits, want)
		}
		for name, bad := range map[string][]uint32{
			"movz v0,zero,v1":      {0x03e00008, 0x0003100a},
			"lw v0,0(v0)":          {0x03e00008, 0x8c420000},
			"move sp,s8":           {0x03e00008, 0x03c0e825},
			"ext v0,v0,0,1":        {0x03e00008, 0x7c420000},
			"mfc0 v0,c0_status":    {0x03e00008, 0x40026000},
			"mul v0,v0,v1":         {0x03e00008, 0x70431002},
			"seb v0,v0":            {0x03e00008, 0x7c021420},
			"no delay slot at all": {0x03e00008},
		} {
			if _, err := (text{order}).Exits(at, words(order, bad...), nil); err == nil {
				t.Errorf("%s was accepted", name)
			}
		}
	}
	if _, err := (text{binary.LittleEndian}).Exits(at+1, make([]byte, 8), nil); err == nil {
		t.Error("microMIPS code was accepted")
	}
}

// A j within the upper half stays there.
func TestExits64(t *testing.T) {
	const at = 0xffff_ffff_8010_0000
	exits, err := text{binary.LittleEndian}.Exits(at, words(binary.LittleEndian, 0x08040080, 0x67bd0040, 0x03e00008, 0x67bd0020), nil)
	want := []arch.Exit{{Addr: at, Tail: 0xffff_ffff_8010_0200}, {Addr: at + 8, Pop: 32}}
	if err != nil || !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v, %v", exits, err)
	}
}

func TestFrame(t *testing.T) {
	order := binary.LittleEndian
	for name, c := range map[string]struct {
		code      []uint32
		size, ret uint64
		ok        bool
	}{
		"traced": {[]uint32{
			0x27bdffb8, // addiu sp,sp,-72
			0xafbf0044, // sw ra,68(sp)
			0x03e00825, // move at,ra
			0x0c045668, // jal _mcount
			0x27bdfff8, // addiu sp,sp,-8
			0x0c1309a0, // jal
			0x00000000,
		}, 72, 68, true},
		"traced in a module": {[]uint32{
			0x27bdffe0, // addiu sp,sp,-32
			0xafbf001c, // sw ra,28(sp)
			0x03e00825, // move at,ra
			0x0060f809, // jalr v1
			0x27bdfff8, // addiu sp,sp,-8
			0x0c1309a0, // jal
			0x00000000,
		}, 32, 28, true},
		"address kept twice": {[]uint32{0x27bdffa8, 0xafbf0054, 0xafbf0038, 0x0c045668, 0}, 88, 84, true},
		"64 bits":            {[]uint32{0x67bdffb0, 0xffbf0048, 0x0c045668, 0}, 80, 72, true},
		"late":               {[]uint32{0x10800010, 0, 0x27bdffe0, 0xafbf001c, 0x0c045668, 0}, 32, 28, true},
		"leaf":               {[]uint32{0x27bdfff0, 0xafa40004}, 16, 0, false},
		"none":               {nil, 0, 0, false},
		"outside":            {[]uint32{0x27bdfff0, 0xafbf0010}, 16, 16, false},
	} {
		size, ret, ok := text{order}.Frame(words(order, c.code...))
		if ok != c.ok || ok && (size != c.size || ret != c.ret) {
			t.Errorf("%s: %d, %d, %v", name, size, ret, ok)
		}
	}
}

// cacheShift is a kernel's _CACHE_SHIFT; zero for none.
type cacheShift struct {
	arch.Build
	shift int64
}

func (c cacheShift) Constant(name string, _ ...string) (int64, bool) {
	return c.shift, c.shift != 0 && name == "_CACHE_SHIFT"
}

func TestAdapt(t *testing.T) {
	last := func(a *arch.Arch) arch.Level {
		p := a.Paging
		return p.Resolve(p.Levels[len(p.Levels)-1])
	}
	row := MIPS64LE()
	adapted := last(row.Adapt(cacheShift{shift: 11}))
	phys, ok := row.Paging.Address(adapted, 0x12345<<14|0x7ff)
	if !ok || phys != 0x12345000 {
		t.Errorf("page at %#x, %v", phys, ok)
	}
	for _, a := range []*arch.Arch{row.Adapt(cacheShift{shift: 0}), row.Adapt(cacheShift{shift: -9}), MIPS32BE().Adapt(cacheShift{shift: 9})} {
		if l := last(a); l.FrameShift != 0 {
			t.Errorf("shift %d", l.FrameShift)
		}
	}
}

func FuzzExits(f *testing.F) {
	f.Add(words(binary.LittleEndian, 0x03e00008, 0x27bd0040, 0x08040080), uint64(0))
	f.Fuzz(func(t *testing.T, code []byte, addr uint64) {
		exits, err := text{binary.LittleEndian}.Exits(addr, code, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(code)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
		text{binary.BigEndian}.Frame(code)
	})
}
