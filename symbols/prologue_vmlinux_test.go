package symbols

import (
	"testing"

	"github.com/go-delve/delve/pkg/dwarf/frame"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

// TestPrologues: where a kernel has both, the frames that are read from code
// are those of .debug_frame, at each call.
func TestPrologues(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		im, err := Open(g.VMLinux, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer im.Close()
		s := NewSpace(im, 0)
		reader, err := newPrologueReader(s)
		if err != nil {
			t.Skip("frames are not read from code on this architecture")
		}
		cfi, err := newCFIUnwinder(s)
		if err != nil {
			t.Skip(err)
		}
		link, _ := im.arch.Reg(im.arch.Call.Link)
		sp, _ := im.arch.Reg(im.arch.Call.SP)
		calls, none, same := 0, 0, 0
		var wrong []string
		for _, i := range im.syms.code {
			sym := im.syms.all[i]
			_, size, _ := im.syms.codeAt(sym.Addr)
			// Whether calls return there or not.
			const step = 64
			for at := sym.Addr + step; at < sym.Addr+size; at += step {
				row := cfi.row(at - 1)
				// GCC's CIEs for MIPS name the register alone, which delve's
				// reader takes for no rule.
				if row == nil || row.CFA.Reg != uint64(sp.DWARF) {
					continue
				}
				rule, saved := row.Regs[uint64(link.DWARF)]
				if !saved || rule.Rule != frame.RuleOffset || row.CFA.Offset == 0 {
					continue // before the prologue, or behind an epilogue
				}
				calls++
				f, found := reader.frame(0, at)
				switch {
				case !found || !f.ok:
					none++
				case f.size == uint64(row.CFA.Offset) && f.ret == uint64(row.CFA.Offset+rule.Offset):
					same++
				default:
					wrong = append(wrong, sym.Name)
				}
			}
		}
		t.Logf("%d places: %d the same, %d without a frame, %d others", calls, same, none, len(wrong))
		if calls == 0 || same*1000 < calls*999 {
			t.Errorf("frames differ in %q", wrong[:min(len(wrong), 20)])
		}
	})
}
