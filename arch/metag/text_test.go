package metag

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

func code(words ...uint32) (b []byte) {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// The encodings are GNU as's.
func TestExits(t *testing.T) {
	const at = 0x4000_1000
	b := code(
		0x00203205, // +0 MOV D0FrT,A0FrP
		0xb72001e3, // +4 SETL [A0StP++],D0FrT,D1RtP
		0x73180000, // +8 CMP D1Ar1,#0
		0xa0000102, // +c BEQ +2c
		0xab009114, // +10 CALLR D1RtP
		0x03220005, // +14 MOVT D1RtP,#0x4000
		0xac2111a6, // +18 CALL D1RtP,#0x2234
		0xa32008a4, // +1c MOVNE PC,D1RtP
		0xa30004a0, // +20 MOV PC,D0Re0: a jump table
		0xa000907e, // +24 BNV
		0xa0009052, // +28 BHI +0x4ab8
		0xa0fffffe, // +2c NOP
		0xa3200aa0, // +30 SWAP PC,D1RtP: a call
		0x02020005, // +34 MOVT D0Re0,#0x4000
		0xac0111a1, // +38 JUMP D0Re0,#0x2234
		0xac200002, // +3c JUMP D1RtP,#0: a return, the MOVT is too far off
		0xc6003eeb, // +40 GETD PC,[A0StP+#-8++]
		0xc7203fe3, // +44 GETL D0FrT,D1RtP,[A0StP--]
		0xa0fffda0, // +48 B
		0xa32008a0, // +4c MOV PC,D1RtP
	)
	notZ, notCZ := uint16(0x00ff), uint16(0x0055)
	exits, err := text{}.Exits(at, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []arch.Exit{
		{Addr: at + 0x1c, If: &arch.Condition{Register: "TXSTATUS", Taken: notZ}},
		{Addr: at + 0x28, Tail: at + 0x28 + 0x1208, If: &arch.Condition{Register: "TXSTATUS", Taken: notCZ}},
		{Addr: at + 0x38, Tail: 0x4000_2234},
		{Addr: at + 0x3c},
		{Addr: at + 0x40, Pop: ^uint64(7)},
		{Addr: at + 0x48, Tail: at - 4},
		{Addr: at + 0x4c},
	}
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v,\nwant %+v", exits, want)
	}
}

func TestReturnByJump(t *testing.T) {
	exits, err := text{}.Exits(0x4000_0000, code(0xac200002), nil) // JUMP D1RtP,#0
	if want := []arch.Exit{{Addr: 0x4000_0000}}; err != nil || !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v, %v", exits, err)
	}
	for name, bad := range map[string][]byte{"half a word": {0xa0, 0x08}, "a counting branch": code(0xa0009053)} {
		if _, err := (text{}).Exits(0x4000_0000, bad, nil); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzExits(f *testing.F) {
	f.Add(code(0xa32008a0, 0xa0009052, 0x02020005, 0xac0111a1), uint64(0x4000_0000))
	f.Fuzz(func(t *testing.T, code []byte, addr uint64) {
		exits, err := text{}.Exits(addr, code, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(code)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
	})
}
