package symbols

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch/ppc"
	"github.com/leakvisor/leakvisor/arch/s390"
	"github.com/leakvisor/leakvisor/guestmem"
)

func TestBackChain(t *testing.T) {
	const sp = 0x8000
	t.Run("fixed", func(t *testing.T) {
		b := make([]byte, 256)
		put := func(at int, v uint64) { binary.LittleEndian.PutUint64(b[at:], v) }
		const text = 0xc000_0000_0000_0000
		put(0, sp+0x40)
		put(0x40, sp+0x80)
		put(0x40+16, text+1)
		put(0x80+16, text+2) // the last, whose chain is zero
		u := &backChain{space: &Space{im: &Image{arch: ppc.PPC64LE()}}, ret: 16}
		out := make([]guestmem.GVA, 8)
		n, complete := u.unwind(0, frameState{sp: sp}, copied{ppc.PPC64LE(), sp, b}, out)
		if want := []guestmem.GVA{text + 1, text + 2}; !complete || !reflect.DeepEqual(out[:n], want) {
			t.Errorf("%#x, complete %v; want %#x", out[:n], complete, want)
		}
		put(0x40, sp) // backwards
		if n, complete := u.unwind(0, frameState{sp: sp}, copied{ppc.PPC64LE(), sp, b}, out); n != 1 || complete {
			t.Errorf("a circle: %d frames, complete %v", n, complete)
		}
	})
	t.Run("by members", func(t *testing.T) {
		b := make([]byte, 512)
		put := func(at int, v uint64) { binary.BigEndian.PutUint64(b[at:], v) }
		word := func(at uint64) Field { return Field{Offset: at, Size: 8} }
		u := &backChain{space: &Space{im: &Image{arch: s390.S390X()}}, chain: 24, ret: 8, regs: 32, mode: word(0), pc: word(8), top: word(16)}
		put(24, sp+0x40)
		put(0x40+8, 0x10_0001)
		// Behind the second frame an interrupt of the kernel, and behind what
		// that interrupted a system call.
		put(0x40+32+8, 0x20_0000)
		put(0x40+32+16, sp+0x100)
		put(0x100+32, 1<<48)
		put(0x100+32+8, 0x30_0000)
		out := make([]guestmem.GVA, 8)
		n, complete := u.unwind(0, frameState{sp: sp}, copied{s390.S390X(), sp, b}, out)
		if want := []guestmem.GVA{0x10_0001, 0x20_0000}; !complete || !reflect.DeepEqual(out[:n], want) {
			t.Errorf("%#x, complete %v; want %#x", out[:n], complete, want)
		}
	})
}
