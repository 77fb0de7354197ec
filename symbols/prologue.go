package symbols

import (
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// prologueReader unwinds by what the code of each function does to make its
// frame, as the architecture's arch.Framer reads it: the kernel's from its
// file, a module's as it was when it was loaded.
type prologueReader struct {
	space  *Space
	framer arch.Framer
	frames map[uint64]codeFrame // of the kernel, by link address
}

// codeFrame is a frame at one place in the code; ok is false where there is
// none.
type codeFrame struct {
	size, ret uint64
	ok        bool
}

// maxPrologue bounds how much of a function is read, in bytes, and maxFrames
// how many frames are kept.
const (
	maxPrologue = 64 << 10
	maxFrames   = 1 << 16
)

func newPrologueReader(s *Space) (*prologueReader, error) {
	framer, ok := s.im.arch.Text.(arch.Framer)
	if !ok {
		return nil, fmt.Errorf("%s: reading frames from code: %w", s.im.path, ErrNotFound)
	}
	return &prologueReader{space: s, framer: framer, frames: map[uint64]codeFrame{}}, nil
}

func (u *prologueReader) unwind(seq uint64, start frameState, stack copied, out []guestmem.GVA) (int, bool) {
	pc, sp := start.pc, start.sp
	for n := range out {
		frame, found := u.frame(seq, pc)
		if !found {
			return n, false
		}
		if !frame.ok {
			return n, true // assembly code, which enters the kernel
		}
		ret, ok := stack.word(sp + frame.ret)
		ret += u.space.im.arch.Call.LinkSkip
		if !ok || !u.space.maybeCode(ret) {
			return n, false
		}
		pc, sp = ret, sp+frame.size
		out[n] = guestmem.GVA(pc)
	}
	return len(out), true
}

// frame finds the frame of a function at a return address in it; found is
// false where nothing is known of the code.
func (u *prologueReader) frame(seq uint64, pc uint64) (f codeFrame, found bool) {
	if link, ok := u.space.Link(guestmem.GVA(pc - 1)); ok {
		link++
		if f, ok := u.frames[link]; ok {
			return f, true
		}
		sym, _, ok := u.space.im.syms.codeAt(link - 1)
		if !ok || link-sym.Addr > maxPrologue {
			return f, false
		}
		code := make([]byte, link-sym.Addr)
		if u.space.im.Read(sym.Addr, code) != nil {
			return f, false
		}
		f.size, f.ret, f.ok = u.framer.Frame(code)
		if len(u.frames) >= maxFrames {
			clear(u.frames)
		}
		u.frames[link] = f
		return f, true
	}
	m := u.space.moduleAt(guestmem.GVA(pc-1), seq)
	if m == nil {
		return f, false
	}
	if f, ok := m.frames[pc]; ok {
		return f, true
	}
	_, from, _, ok := m.symbolAt(guestmem.GVA(pc - 1))
	if !ok || pc-from > maxPrologue {
		return f, false
	}
	for _, c := range m.code {
		at := from - uint64(c.Addr)
		if size := uint64(len(c.Bytes)); from < uint64(c.Addr) || at > size || pc-from > size-at {
			continue
		}
		f.size, f.ret, f.ok = u.framer.Frame(c.Bytes[at : at+pc-from])
		if m.frames == nil || len(m.frames) >= maxFrames {
			m.frames = map[uint64]codeFrame{}
		}
		m.frames[pc] = f
		return f, true
	}
	return f, false
}
