package symbols

import (
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// backChain unwinds code in which each frame has the address of its caller's
// and the caller's registers, as arch.BackChain says.
type backChain struct {
	space         *Space
	chain, ret    uint64 // offsets in a frame
	own           bool   // ret is in the frame that returns there
	bias, skip    uint64 // added to frames' and to return addresses
	regs          uint64 // of struct pt_regs behind a frame
	pc, mode, top Field  // in it; top is the stack pointer
	mark          Field  // likewise, if it says that it is there
	marked        arch.Match
}

func newBackChain(s *Space) (*backChain, error) {
	b := s.im.arch.Call.BackChain
	if b == nil {
		return nil, fmt.Errorf("%s: chained frames: %w", s.im.path, ErrNotFound)
	}
	u := &backChain{space: s, chain: b.ChainAt, ret: b.ReturnAt, own: b.Own}
	u.bias, u.skip = s.im.arch.Call.Bias, s.im.arch.Call.LinkSkip
	if b.Frame == "" && b.Mark == "" {
		return u, nil
	}
	word := uint64(s.im.arch.WordSize)
	if b.Frame == "" {
		u.regs, u.marked = b.RegsAt, b.Marked
		return u, u.findRegisters(b, word)
	}
	frame, err := s.im.Struct(b.Frame, "copy_process")
	if err != nil {
		return nil, err
	}
	u.regs = frame.Size
	chain, err := frame.Field(b.Chain)
	if err != nil {
		return nil, err
	}
	saved, err := frame.Field(b.Saved)
	if err != nil {
		return nil, err
	}
	u.chain, u.ret = chain.Offset, saved.Offset+word*uint64(b.Return)
	return u, u.findRegisters(b, word)
}

// findRegisters finds what is needed of struct pt_regs.
func (u *backChain) findRegisters(b *arch.BackChain, word uint64) error {
	regs, err := u.space.im.Struct("pt_regs", "copy_process")
	if err != nil {
		return err
	}
	members := map[string]*Field{b.PC: &u.pc, b.Mode: &u.mode, b.Regs: &u.top}
	if b.Mark != "" {
		members[b.Mark] = &u.mark
	}
	for name, f := range members {
		if *f, err = regs.Field(name); err != nil {
			return err
		}
	}
	u.top.Offset, u.top.Size = u.top.Offset+word*uint64(b.SP), word
	return nil
}

func (u *backChain) unwind(_ uint64, start frameState, stack copied, out []guestmem.GVA) (int, bool) {
	sp := start.sp
	for n := range out {
		chain, ok := stack.word(sp + u.chain)
		if !ok {
			return n, false
		}
		var pc uint64
		switch {
		case chain == 0 && u.regs == 0, chain == 0 && u.marked.Mask != 0:
			return n, true
		case chain == 0, u.interrupted(stack, sp, chain):
			regs := sp + u.regs
			mode, ok1 := stack.field(regs, u.mode)
			at, ok2 := stack.field(regs, u.pc)
			next, ok3 := stack.field(regs, u.top)
			if !ok1 || !ok2 || !ok3 || at == 0 || u.space.im.arch.Linux.UserMode.Holds(mode) {
				return n, true // the outermost frame
			}
			pc, chain = at, next+u.bias
		default:
			chain += u.bias
			at := chain
			if u.own {
				at = sp
			}
			pc, ok = stack.word(at + u.ret)
			pc += u.skip
		}
		if !ok || chain <= sp || !u.space.maybeCode(pc) {
			return n, false
		}
		out[n], sp = guestmem.GVA(pc), chain
	}
	return len(out), true
}

// interrupted says whether what is behind the frame at sp is marked as the
// registers of what was interrupted. Within the kernel that is the frame which
// the chain names too, else it is something old.
func (u *backChain) interrupted(stack copied, sp, chain uint64) bool {
	regs := sp + u.regs
	mark, ok1 := stack.field(regs, u.mark)
	mode, ok2 := stack.field(regs, u.mode)
	next, ok3 := stack.field(regs, u.top)
	return ok1 && ok2 && ok3 && u.marked.Holds(mark) && (next == chain || u.space.im.arch.Linux.UserMode.Holds(mode))
}
