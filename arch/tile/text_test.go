package tile

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

// The encodings are GNU as's.
func TestExits(t *testing.T) {
	const at = 0xffff_fff7_0001_0000
	var code []byte
	for _, b := range []uint64{
		0xdfbe4000576bfd9d,                     // +0 { move r29, sp ; st sp, lr }
		0x2000001640114fc0,                     // +8 { movei r0, 20 ; jal ... }: no exit
		0x143ffa17d1483000,                     // +16 { beqzt r16, -136 }: before the start
		0x1400000051483000 | 1<<31 | 1<<54,     // +24 a branch to +32: inside
		0x2400000051483000 | 0x100<<31,         // +32 { j +2048 }
		0x286a6ee051483000,                     // +40 { jrp lr }
		0x286a6ee0500c3081,                     // +48 { add r1, r2, r3 ; jrp lr }
		0x286a7140 << 32 & 0xfffff800_00000000, // +56 { jr r10 }: a jump table
		0x9c0666e0 << 32 & 0xffffffe0_00000000, // +64 { ... ; jrp lr ; ... } in Y1
	} {
		code = binary.LittleEndian.AppendUint64(code, b)
	}
	exits, err := text{}.Exits(at, code, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []arch.Exit{{Addr: at + 16, Tail: at + 16 - 136}, {Addr: at + 32, Tail: at + 32 + 2048}, {Addr: at + 40}, {Addr: at + 48}, {Addr: at + 64}}
	if !slices.Equal(exits, want) {
		t.Errorf("exits %+v, want %+v", exits, want)
	}
	if _, err := (text{}).Exits(at, code[:9], nil); err == nil {
		t.Error("half a bundle was accepted")
	}
}

func TestNames(t *testing.T) {
	for n, name := range map[int]string{0: "r0", 52: "r52", 53: "tp", 54: "sp", 55: "lr", 63: "zero"} {
		if Name(n) != name {
			t.Errorf("register %d is %s", n, Name(n))
		}
		if got, ok := Register(name); !ok || got != n {
			t.Errorf("%s is register %d", name, got)
		}
	}
	if _, ok := Register("r54"); ok {
		t.Error("there is a register r54")
	}
}
