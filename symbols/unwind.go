package symbols

import (
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// Unwinder finds the callers of a function from a copy of its stack. It is
// not for several goroutines at once.
type Unwinder interface {
	// Unwind fills out with return addresses, the innermost first, and
	// returns how many. The function stands at pc, an instruction, with the
	// stack pointer sp; stack is a copy of the memory from sp up, or up to it
	// where the stack grows upward, fp the frame pointer register. The modules are those loaded at event number
	// seq. On machines that pass the return address in a register, pc is
	// that return address instead, and out begins with its caller.
	//
	// Complete says that the outermost frame was reached, or out was filled;
	// otherwise the copy ended, the stack was switched, or there is no way
	// to go on.
	//
	// Where an interrupt or exception is on the stack, the address is that of
	// the interrupted instruction; the trace goes on behind it.
	Unwind(seq uint64, pc, sp guestmem.GVA, fp uint64, stack []byte, out []guestmem.GVA) (n int, complete bool)
	// Method names how it works, for people: "ORC", "EHABI", "back chain", "frame pointers", "prologues", "CFI".
	Method() string
}

// frameState is where unwinding starts.
type frameState struct {
	pc, sp, fp uint64
	exact      bool
}

// method is one way to unwind.
type method interface {
	unwind(seq uint64, start frameState, stack copied, out []guestmem.GVA) (int, bool)
}

type unwinder struct {
	arch *arch.Arch
	name string
	method
}

var _ Unwinder = (*unwinder)(nil)

func (u *unwinder) Method() string { return u.name }

func (u *unwinder) Unwind(seq uint64, pc, sp guestmem.GVA, fp uint64, stack []byte, out []guestmem.GVA) (int, bool) {
	start := frameState{pc: uint64(pc), sp: uint64(sp), fp: fp, exact: u.arch.Call.Link == ""}
	base := uint64(sp)
	if u.arch.Call.StackUp {
		base -= uint64(len(stack))
	}
	return u.unwind(seq, start, copied{u.arch, base, stack}, out)
}

// Unwinder returns the way to unwind that the kernel is built for: by ORC
// tables, else by those of ARM's exception handling ABI, else by back
// chains, the functions' code where frame pointers make no chain, frame pointers
// or .debug_frame. It wraps ErrNotFound where there is none.
func (s *Space) Unwinder() (Unwinder, error) {
	a := s.im.arch
	orc, err := newORCUnwinder(s)
	if err == nil {
		return &unwinder{a, "ORC", orc}, nil
	}
	if !known(err) {
		return nil, err
	}
	eh, err := newEHUnwinder(s)
	if err == nil {
		return &unwinder{a, "EHABI", eh}, nil
	}
	if !known(err) {
		return nil, err
	}
	chain, err := newBackChain(s)
	if err == nil {
		return &unwinder{a, "back chain", chain}, nil
	}
	if !known(err) {
		return nil, err
	}
	reader, err := newPrologueReader(s)
	if err == nil {
		return &unwinder{a, "prologues", reader}, nil
	}
	if !known(err) {
		return nil, err
	}
	if s.im.keepsFramePointers() {
		return &unwinder{a, "frame pointers", newFrameWalker(s)}, nil
	}
	cfi, err := newCFIUnwinder(s)
	if err != nil {
		return nil, fmt.Errorf("%s: no way to unwind: no ORC tables, no frame pointers, and %w", s.im.path, err)
	}
	return &unwinder{a, "CFI", cfi}, nil
}

// copied is the part of the guest's stack that was copied at an event.
type copied struct {
	arch *arch.Arch
	base uint64 // address of b's first byte
	b    []byte
}

// word reads a machine word.
func (c copied) word(at uint64) (uint64, bool) { return c.read(at, uint64(c.arch.WordSize)) }

// field reads a member of the structure at an address.
func (c copied) field(at uint64, f Field) (uint64, bool) {
	v, ok := c.read(at+f.Offset, f.Size)
	return f.Bits(v), ok
}

func (c copied) read(at, size uint64) (uint64, bool) {
	off := at - c.base
	if at < c.base || off > uint64(len(c.b)) || uint64(len(c.b))-off < size {
		return 0, false
	}
	return c.arch.Uint(c.b[off : off+size]), true
}
