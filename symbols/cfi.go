package symbols

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/go-delve/delve/pkg/dwarf/frame"

	"github.com/leakvisor/leakvisor/guestmem"
)

// cfiUnwinder unwinds by vmlinux's .debug_frame (DWARF 5 section 6.4), read
// by delve's frame package. That reads lengths as little-endian, so that
// big-endian kernels have no CFI here. Modules' CFI is not read: the walk
// ends there. Assembly code has none.
type cfiUnwinder struct {
	space *Space
	fdes  frame.FrameDescriptionEntries
	rows  map[uint64]*frame.FrameContext // by link address; nil where there is none
	sp    uint64                         // DWARF number of the stack pointer
	fp    uint64
}

// maxCFIRows bounds the cache of rows.
const maxCFIRows = 1 << 16

func newCFIUnwinder(s *Space) (u *cfiUnwinder, err error) {
	im := s.im
	defer guard(im.path, &err)()
	if im.elf.ByteOrder != binary.LittleEndian {
		return nil, fmt.Errorf("CFI of big-endian kernels is not read: %w", ErrNotFound)
	}
	sec := im.named(".debug_frame")
	if sec == nil {
		return nil, im.notFound("section", ".debug_frame")
	}
	sp, ok := im.arch.Reg(im.arch.Call.SP)
	if !ok || sp.DWARF < 0 {
		return nil, fmt.Errorf("the stack pointer's DWARF number: %w", ErrNotFound)
	}
	u = &cfiUnwinder{space: s, rows: map[uint64]*frame.FrameContext{}, sp: uint64(sp.DWARF), fp: uint64(sp.DWARF)}
	if fp, ok := im.arch.Reg(im.arch.Call.FP); ok && fp.DWARF >= 0 {
		u.fp = uint64(fp.DWARF)
	}
	b, err := im.content(sec)
	if err != nil {
		return nil, err
	}
	if u.fdes, err = frame.Parse(slices.Clone(b), binary.LittleEndian, 0, im.arch.WordSize, 0); err != nil {
		return nil, fmt.Errorf("%s: .debug_frame: %w: %w", im.path, ErrCorrupt, err)
	}
	// FDEForPC searches by halving.
	u.fdes = frame.FrameDescriptionEntries{}.Append(u.fdes)
	return u, nil
}

// row returns the rules at a link address, nil if there are none.
func (u *cfiUnwinder) row(link uint64) *frame.FrameContext {
	if c, ok := u.rows[link]; ok {
		return c
	}
	c, err := u.establish(link)
	if err != nil {
		c = nil
	}
	if len(u.rows) >= maxCFIRows {
		clear(u.rows)
	}
	u.rows[link] = c
	return c
}

// establish runs the rows' program, which panics on malformed ones.
func (u *cfiUnwinder) establish(link uint64) (c *frame.FrameContext, err error) {
	defer guard(u.space.im.path, &err)()
	fde, err := u.fdes.FDEForPC(link)
	if err != nil {
		return nil, err
	}
	return fde.EstablishFrame(link)
}

func (u *cfiUnwinder) unwind(_ uint64, start frameState, stack copied, out []guestmem.GVA) (int, bool) {
	regs := map[uint64]uint64{u.fp: start.fp, u.sp: start.sp}
	pc, exact := start.pc, start.exact
	for n := range out {
		at := pc - u.space.slide
		if !exact {
			at--
		}
		row := u.row(at)
		if row == nil {
			return n, false
		}
		next, ret, end, ok := u.step(row, regs, stack)
		if end {
			return n, true
		}
		if ok && ret == 0 {
			return n, true // what a stack begins with
		}
		if !ok || next[u.sp] <= regs[u.sp] || !u.space.maybeCode(ret) {
			return n, false
		}
		pc, regs, exact = ret, next, false
		out[n] = guestmem.GVA(pc)
	}
	return len(out), true
}

// step computes the caller's registers as far as they are known.
func (u *cfiUnwinder) step(row *frame.FrameContext, regs map[uint64]uint64, stack copied) (next map[uint64]uint64, ret uint64, end, ok bool) {
	base, known := regs[row.CFA.Reg]
	// GNU as begins some architectures' rows (tilegx) with DW_CFA_def_cfa_register
	// alone, which means offset zero; delve's reader leaves the rule unset then.
	if row.CFA.Rule != frame.RuleCFA && row.CFA.Rule != frame.RuleUndefined || !known {
		return nil, 0, false, false
	}
	cfa := base + uint64(row.CFA.Offset)
	next = maps.Clone(regs)
	for n, rule := range row.Regs {
		v, known := uint64(0), true
		switch rule.Rule {
		case frame.RuleSameVal:
			v, known = regs[n]
		case frame.RuleOffset:
			v, known = stack.word(cfa + uint64(rule.Offset))
		case frame.RuleValOffset:
			v = cfa + uint64(rule.Offset)
		case frame.RuleRegister:
			v, known = regs[rule.Reg]
		case frame.RuleUndefined:
			if n == row.RetAddrReg {
				return nil, 0, true, false
			}
			// delve's reader turns DW_CFA_restore of a register without an
			// initial rule into this, where DWARF means the same value.
			v, known = regs[n]
		default:
			known = false
		}
		if known {
			next[n] = v
		} else {
			delete(next, n)
		}
	}
	next[u.sp] = cfa
	ret, ok = next[row.RetAddrReg]
	return next, ret, false, ok
}
