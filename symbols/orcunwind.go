package symbols

import (
	"github.com/leakvisor/leakvisor/guestmem"
)

// ptRegs says where struct pt_regs has what a rule may ask for.
type ptRegs struct {
	ip, sp, bp, cs, dx, di, r10, r13 Field
}

func (im *Image) ptRegs() (*ptRegs, error) {
	s, err := im.Struct("pt_regs", "unwind_next_frame")
	if err != nil {
		return nil, err
	}
	r := &ptRegs{}
	for name, f := range map[string]*Field{
		"ip": &r.ip, "sp": &r.sp, "bp": &r.bp, "cs": &r.cs, "dx": &r.dx, "di": &r.di, "r10": &r.r10, "r13": &r.r13,
	} {
		if *f, err = s.Field(name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// orcUnwinder unwinds x86-64 as unwind_next_frame of the kernel's
// arch/x86/kernel/unwind_orc.c does.
type orcUnwinder struct {
	space *Space
	table *orcTable // of vmlinux, in link addresses
	regs  *ptRegs
	last  uint64 // end of what table covers
	// rows caches table's answers by address: return addresses repeat.
	rows []orcSlot
}

type orcSlot struct {
	pc  uint64 // zero: empty; there is no code
	row orcRow
}

const orcSlots = 1 << 13 // power of two

// newORCUnwinder makes the unwinder of a kernel that has ORC tables.
func newORCUnwinder(s *Space) (*orcUnwinder, error) {
	table, err := s.im.readORC()
	if err != nil {
		return nil, err
	}
	regs, err := s.im.ptRegs()
	if err != nil {
		return nil, err
	}
	u := &orcUnwinder{space: s, table: table, regs: regs, rows: make([]orcSlot, orcSlots)}
	if n := len(table.ips); n > 0 {
		u.last = table.ips[n-1] + 1
		if sec := s.im.sectionAt(table.ips[n-1]); sec != nil {
			u.last = sec.addr + sec.size
		}
	}
	return u, nil
}

// find returns the rule at a run-time address. Guessed says that no table
// has it.
func (u *orcUnwinder) find(seq uint64, pc guestmem.GVA) (row orcRow, guessed, ok bool) {
	link := uint64(pc) - u.space.slide
	if len(u.table.ips) > 0 && link >= u.table.ips[0] && link < u.last {
		slot := &u.rows[(link^link>>13)&(orcSlots-1)]
		if slot.pc != link {
			slot.row, _ = u.table.find(link)
			slot.pc = link
		}
		return slot.row, false, true
	}
	if m := u.space.moduleAt(pc, seq); m != nil {
		if m.orc == nil {
			return orcRow{}, false, false
		}
		row, ok = m.orc.find(uint64(pc))
		return row, false, ok
	}
	// Generated code keeps a frame pointer.
	return orcFramePointer, true, true
}

// orcState is one frame.
type orcState struct {
	pc     uint64
	sp, bp uint64
	exact  bool // pc is an instruction, not a return address
	// regs and prev are addresses of a struct pt_regs, zero for none: full
	// says whether all of regs is there or only the part the CPU pushed; in
	// that case prev may be the full one before.
	regs, prev uint64
	full       bool
}

func (u *orcUnwinder) unwind(seq uint64, start frameState, stack copied, out []guestmem.GVA) (int, bool) {
	s := orcState{pc: start.pc, sp: start.sp, bp: start.fp, exact: start.exact}
	sure := true
	for n := range out {
		at := s.pc
		if !s.exact {
			at--
		}
		row, guessed, ok := u.find(seq, guestmem.GVA(at))
		if !ok {
			return n, false
		}
		sure = sure && !guessed
		if row.kind == orcEndOfStack {
			return n, sure
		}
		before := s.sp
		if !u.step(&s, row, stack) {
			return n, false
		}
		if s.regs != 0 && u.fromUser(&s, stack) {
			return n, sure
		}
		if s.sp <= before || !u.space.maybeCode(s.pc) {
			return n, false
		}
		out[n] = guestmem.GVA(s.pc)
	}
	return len(out), sure
}

// step goes to the caller's frame.
func (u *orcUnwinder) step(s *orcState, row orcRow, stack copied) bool {
	var sp uint64
	ok := true
	switch row.spReg {
	case orcRegSP:
		sp = s.sp + uint64(int64(row.spOffset))
	case orcRegBP:
		sp = s.bp + uint64(int64(row.spOffset))
	case orcRegSPIndirect:
		// As since 5.12; before, the offset was added first, but only in
		// entry code that switches stacks, where the copied bytes end.
		sp, ok = stack.word(s.sp)
		sp += uint64(int64(row.spOffset))
	case orcRegBPIndirect:
		sp, ok = stack.word(s.bp + uint64(int64(row.spOffset)))
	case orcRegR10:
		sp, ok = u.reg(s, u.regs.r10, stack)
	case orcRegR13:
		sp, ok = u.reg(s, u.regs.r13, stack)
	case orcRegDI:
		sp, ok = u.reg(s, u.regs.di, stack)
	case orcRegDX:
		sp, ok = u.reg(s, u.regs.dx, stack)
	default:
		return false
	}
	if !ok {
		return false
	}
	switch row.kind {
	case orcCall:
		if s.pc, ok = stack.word(sp - 8); !ok {
			return false
		}
		s.sp, s.regs, s.prev, s.exact = sp, 0, 0, false
	case orcRegs, orcRegsPartial:
		regs := sp
		if row.kind == orcRegsPartial {
			regs = sp - u.regs.ip.Offset // the CPU pushes ip first, at sp
		}
		pc, ok1 := stack.field(regs, u.regs.ip)
		next, ok2 := stack.field(regs, u.regs.sp)
		if !ok1 || !ok2 {
			return false
		}
		s.prev = 0
		if row.kind == orcRegsPartial && s.full {
			s.prev = s.regs
		}
		s.pc, s.sp, s.regs, s.exact, s.full = pc, next, regs, true, row.kind == orcRegs
	default:
		return false
	}
	switch row.bpReg {
	case orcRegUndefined:
		if bp, ok := u.reg(s, u.regs.bp, stack); ok {
			s.bp = bp
		}
	case orcRegPrevSP:
		s.bp, ok = stack.word(sp + uint64(int64(row.bpOffset)))
	case orcRegBP:
		s.bp, ok = stack.word(s.bp + uint64(int64(row.bpOffset)))
	default:
		ok = false
	}
	return ok
}

// reg reads a register that was saved in the nearest full struct pt_regs.
func (u *orcUnwinder) reg(s *orcState, f Field, stack copied) (uint64, bool) {
	at := s.regs
	if at != 0 && !s.full {
		at = s.prev
	}
	if at == 0 {
		return 0, false
	}
	return stack.field(at, f)
}

// fromUser says whether the registers are user mode's: the privilege level in
// cs is not zero.
func (u *orcUnwinder) fromUser(s *orcState, stack copied) bool {
	cs, ok := stack.field(s.regs, u.regs.cs)
	return ok && cs&3 != 0
}
