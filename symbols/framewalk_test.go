package symbols

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch/metag"
	"github.com/leakvisor/leakvisor/guestmem"
)

// Where the stack grows upward, callers' records lie below.
func TestFramesOfUpwardStack(t *testing.T) {
	const base, sp, text = 0x4800_2000, 0x4800_2080, 0x4000_0000
	a := metag.Meta2()
	b := make([]byte, sp-base)
	put := func(at, v uint32) { binary.LittleEndian.PutUint32(b[at-base:], v) }
	put(base+0x70, base+0x40)
	put(base+0x74, text+0x111)
	put(base+0x40, base+0x20)
	put(base+0x44, text+0x222)
	put(base+0x20, 0)
	put(base+0x24, text+0x333)
	u := &unwinder{a, "frame pointers", newFrameWalker(&Space{im: &Image{arch: a}})}
	out := make([]guestmem.GVA, 8)
	n, complete := u.Unwind(0, text+1, sp, base+0x70, b, out)
	if want := []guestmem.GVA{text + 0x111, text + 0x222, text + 0x333}; !complete || !reflect.DeepEqual(out[:n], want) {
		t.Errorf("%#x, complete %v; want %#x", out[:n], complete, want)
	}
	put(base+0x40, base+0x70) // backwards
	if n, complete := u.Unwind(0, text+1, sp, base+0x70, b, out); n != 2 || complete {
		t.Errorf("a circle: %d frames, complete %v", n, complete)
	}
	if n, complete := u.Unwind(0, text+1, sp, sp+8, b, out); n != 0 || complete {
		t.Errorf("a record above the stack: %d frames, complete %v", n, complete)
	}
}
