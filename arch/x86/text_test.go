package x86

import (
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

func TestExits(t *testing.T) {
	const at, thunk = 0xffffffff81000000, 0xffffffff81000100
	code := []byte{
		0x0f, 0x1f, 0x44, 0x00, 0x00, // +0 nopl: the fentry slot
		0xf3, 0x0f, 0x1e, 0xfa, // +5 endbr64
		0x74, 0x02, // +9 je +13: stays inside
		0x0f, 0x0b, // +11 ud2
		0xe8, 0x00, 0x01, 0x00, 0x00, // +13 call: no exit
		0x0f, 0x84, 0xe9, 0x00, 0x00, 0x00, // +18 je thunk (at+24+0xe8)
		0xe9, 0xe3, 0x01, 0x00, 0x00, // +24 jmp at+29+0x1e3 = at+0x200: tail call
		0xc3, // +29 ret
		0xcc, // +30 int3
	}
	exits, err := text{bits: 64}.Exits(at, code, map[uint64]bool{thunk: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []arch.Exit{{Addr: at + 18, Tail: at + 0x101}, {Addr: at + 24, Tail: at + 0x200}, {Addr: at + 29}}
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v, want %+v", exits, want)
	}
	if _, err := (text{bits: 64}).Exits(at, []byte{0x06}, nil); err == nil {
		t.Error("an invalid instruction was accepted")
	}
}

func TestExitsThunk(t *testing.T) {
	// jmp +0x10 with the thunk there is a return, whatever it is patched to.
	exits, err := text{bits: 64}.Exits(0x1000, []byte{0xe9, 0x0b, 0x00, 0x00, 0x00}, map[uint64]bool{0x1010: true})
	if err != nil || len(exits) != 1 || exits[0] != (arch.Exit{Addr: 0x1000}) {
		t.Fatalf("exits %v, error %v", exits, err)
	}
}

func FuzzExits(f *testing.F) {
	f.Add([]byte{0xe9, 0, 0, 0, 0, 0xc3}, uint64(0))
	f.Add([]byte{0xf3, 0x0f, 0x1e, 0xfa, 0xeb, 0xfe}, uint64(0xffffffffffffffff))
	f.Fuzz(func(t *testing.T, code []byte, addr uint64) {
		exits, err := text{bits: 64}.Exits(addr, code, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(code)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
	})
}
