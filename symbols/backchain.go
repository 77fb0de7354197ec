package symbols

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// backChain unwinds code in which each frame has the address of its caller's
// and the caller's registers, as arch.BackChain says.
type backChain struct {
	space         *Space
	chain, ret    uint64 // offsets in a frame
	regs          uint64 // of struct pt_regs behind a frame
	pc, mode, top Field  // in it; top is the stack pointer
}

func newBackChain(s *Space) (*backChain, error) {
	b := s.im.arch.Call.BackChain
	if b == nil {
		return nil, fmt.Errorf("%s: chained frames: %w", s.im.path, ErrNotFound)
	}
	if b.Frame == "" {
		return &backChain{space: s, chain: b.ChainAt, ret: b.ReturnAt}, nil
	}
	frame, err := s.im.Struct(b.Frame, "copy_process")
	if err != nil {
		return nil, err
	}
	word := uint64(s.im.arch.WordSize)
	u := &backChain{space: s, regs: frame.Size}
	chain, err := frame.Field(b.Chain)
	if err != nil {
		return nil, err
	}
	saved, err := frame.Field(b.Saved)
	if err != nil {
		return nil, err
	}
	u.chain, u.ret = chain.Offset, saved.Offset+word*uint64(b.Return)
	regs, err := s.im.Struct("pt_regs", "copy_process")
	if err != nil {
		return nil, err
	}
	for name, f := range map[string]*Field{b.PC: &u.pc, b.Mode: &u.mode, b.Regs: &u.top} {
		if *f, err = regs.Field(name); err != nil {
			return nil, err
		}
	}
	u.top.Offset, u.top.Size = u.top.Offset+word*uint64(b.SP), word
	return u, nil
}

func (u *backChain) unwind(_ uint64, start frameState, stack copied, out []guestmem.GVA) (int, bool) {
	sp := start.sp
	for n := range out {
		chain, ok := stack.word(sp + u.chain)
		if !ok {
			return n, false
		}
		var pc uint64
		if chain != 0 {
			pc, ok = stack.word(chain + u.ret)
		} else if u.regs == 0 {
			return n, true
		} else {
			regs := sp + u.regs
			mode, ok1 := stack.field(regs, u.mode)
			at, ok2 := stack.field(regs, u.pc)
			next, ok3 := stack.field(regs, u.top)
			if !ok1 || !ok2 || !ok3 || at == 0 || u.space.im.arch.Linux.UserMode.Holds(mode) {
				return n, true // the outermost frame
			}
			pc, chain = at, next
		}
		if !ok || chain <= sp || !u.space.maybeCode(pc) {
			return n, false
		}
		out[n], sp = guestmem.GVA(pc), chain
	}
	return len(out), true
}
