package arm

import (
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

// The encodings are GNU as's.
func TestExits32(t *testing.T) {
	const at = 0xc030_0000
	code := words(
		0xe92d4010, // +0 push {r4, lr}
		0x0a000000, // +4 beq +12: stays inside
		0xebfffffe, // +8 bl: no exit
		0x88bd8010, // +12 pophi {r4, pc}
		0xe49df004, // +16 pop {pc}
		0xe12fff1e, // +20 bx lr
		0xe1a0f00e, // +24 mov pc, lr
		0xe79ff101, // +28 ldr pc, [pc, r1, lsl #2]: a jump table
		0xe8bd0010, // +32 pop {r4}
		0x1a00003e, // +36 bne +292
		0xf57ff05f, // +40 dmb: no condition
		0xe8bd8070, // +44 pop {r4, r5, r6, pc}
	)
	exits, err := text32{}.Exits(at, code, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range exits {
		if exits[i].Addr == at+12 {
			// hi: C set and Z clear.
			if c := exits[i].If; c == nil || c.Register != "cpsr" || c.Shift != 28 || c.Taken != 1<<2|1<<3|1<<10|1<<11 {
				t.Errorf("condition hi is %+v", c)
			}
		}
		exits[i].If = nil
	}
	want := []arch.Exit{
		{Addr: at + 12, Pop: 8}, {Addr: at + 16, Pop: 4}, {Addr: at + 20}, {Addr: at + 24},
		{Addr: at + 36, Tail: at + 292}, {Addr: at + 44, Pop: 16},
	}
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v,\nwant %+v", exits, want)
	}
	if _, err := (text32{}).Exits(at+1, code, nil); err == nil {
		t.Error("Thumb code was accepted")
	}
}

func TestConditions32(t *testing.T) {
	for cond, want := range map[uint32]uint16{
		0x0: 0xf0f0,                // eq
		0x1: 0x0f0f,                // ne
		0x4: 0xff00,                // mi
		0x6: 0b1010_1010_1010_1010, // vs
		0xa: 0b1010_1010_0101_0101, // ge: N == V
		0xd: 0b1111_0101_1111_1010, // le: Z, or N != V
	} {
		if got := condition32(cond).Taken; got != want {
			t.Errorf("condition %#x: %#x, want %#x", cond, got, want)
		}
	}
	if condition32(0xe) != nil {
		t.Error("always has a condition")
	}
}

func FuzzExits32(f *testing.F) {
	f.Add(words(0xe8bd8070, 0xeaffffff), uint64(0))
	f.Fuzz(func(t *testing.T, code []byte, addr uint64) {
		exits, err := text32{}.Exits(addr, code, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(code)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
	})
}
