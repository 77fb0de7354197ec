package symbols

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch/ppc"
	"github.com/leakvisor/leakvisor/arch/s390"
	"github.com/leakvisor/leakvisor/arch/sparc"
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
	t.Run("own", func(t *testing.T) {
		a := sparc.SPARC64()
		b := make([]byte, 0x800)
		put := func(at int, v uint64) { binary.BigEndian.PutUint64(b[at:], v) }
		word := func(at uint64) Field { return Field{Offset: at, Size: 8} }
		const bias, priv = 2047, 1 << 10
		window := func(at, fp, ret int) {
			put(at+14*8, sp+uint64(fp)-bias)
			put(at+15*8, 0x40_0000+uint64(ret))
		}
		u := &backChain{
			space: &Space{im: &Image{arch: a}}, chain: 14 * 8, ret: 15 * 8, own: true, bias: bias, skip: 8,
			regs: 192, mode: word(16 * 8), pc: word(17 * 8), top: word(14 * 8), mark: Field{Offset: 156, Size: 4}, marked: a.Call.BackChain.Marked,
		}
		trap := func(at int, mode, pc, top uint64) {
			put(at+192+14*8, top)
			put(at+192+16*8, mode)
			put(at+192+17*8, pc)
			put(at+192+19*8, 0x57ac_6c6d)
		}
		window(0, 0xc0, 0x1000)
		// What an old trap left, then one in the kernel, and the system call.
		trap(0, priv, 0x40_9999, 1)
		window(0xc0, 0x300, 0x2000)
		window(0x300, 0x500, 0x9999)
		trap(0x300, priv, 0x40_3000, sp+0x500-bias)
		window(0x500, 0, 0)
		put(0x500+14*8, 0x7fe_0000_0001)
		trap(0x500, 0, 0x10_0000, 0x7fe_0000_2001)
		out := make([]guestmem.GVA, 8)
		n, complete := u.unwind(0, frameState{sp: sp}, copied{a, sp, b}, out)
		if want := []guestmem.GVA{0x40_1008, 0x40_2008, 0x40_3000}; !complete || !reflect.DeepEqual(out[:n], want) {
			t.Errorf("%#x, complete %v; want %#x", out[:n], complete, want)
		}
		put(0x500+14*8, 0) // a thread of the kernel
		put(0x500+192+19*8, 0)
		if n, complete := u.unwind(0, frameState{sp: sp}, copied{a, sp, b}, out); n != 3 || !complete {
			t.Errorf("a thread: %d frames, complete %v", n, complete)
		}
		put(0x500+14*8, 0x7fe_0000_0001) // no registers where they should be
		put(0x500+15*8, 0x10_0000)
		if n, complete := u.unwind(0, frameState{sp: sp}, copied{a, sp, b}, out); n != 3 || complete {
			t.Errorf("a process's frame: %d frames, complete %v", n, complete)
		}
	})
}
