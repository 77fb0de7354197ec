package s390

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

func code(t *testing.T, text ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(text, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The encodings are GNU as's.
func TestExits(t *testing.T) {
	const at = 0x37_0630
	b := code(t,
		"c004 0000 0000", // +0 jgnop: the slot for tracing
		"eb9f f060 0024", // +6 stmg %r9,%r15,96(%r15)
		"ec3c 0004 007e", // +12 cij: stays inside, at +20
		"c0e5 0000 1000", // +18 brasl: no exit
		"07f1",           // +24 br %r1: a jump table
		"e340 f110 0004", // +26 lg %r4,272(%r15)
		"eb9f f0a0 0004", // +32 lmg %r9,%r15,160(%r15)
		"07f4",           // +38 br %r4
		"c0f4 0000 0100", // +40 jg +552
		"a784 fff0",      // +46 je +14
		"0700",           // +50 nopr
		"07fe",           // +52 br %r14
	)
	exits, err := text{}.Exits(at, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []arch.Exit{{Addr: at + 38}, {Addr: at + 40, Tail: at + 552}, {Addr: at + 52}}
	if !reflect.DeepEqual(exits, want) {
		t.Fatalf("exits %+v,\nwant %+v", exits, want)
	}
	for name, bad := range map[string]string{"ber %r14": "078e", "half a stmg": "eb9f f060"} {
		if _, err := (text{}).Exits(at, code(t, bad), nil); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzExits(f *testing.F) {
	f.Add([]byte{0x07, 0xfe, 0xc0, 0xf4, 0, 0, 1, 0}, uint64(0))
	f.Fuzz(func(t *testing.T, code []byte, addr uint64) {
		exits, err := text{}.Exits(addr, code, nil)
		for _, e := range exits {
			if err == nil && e.Addr-addr >= uint64(len(code)) {
				t.Fatalf("exit %#x lies outside the code", e.Addr)
			}
		}
	})
}
