package leak

import (
	"fmt"
	"strings"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
	"github.com/leakvisor/leakvisor/symbols"
)

// now is the event number for what is there at a scan.
const now = ^uint64(0) - 1

// reference names one hop of a path.
func (s *Session) reference(p *picture, h scanner.Hop) report.Reference {
	r := report.Reference{
		Offset: h.Offset, Address: report.Hex(h.Addr), Value: report.Hex(h.Value),
		To: report.Hex(p.objects[h.To].Addr), ToOffset: h.ToOffset,
	}
	if st := s.structAt(&p.objects[h.To]); st != nil {
		if m, ok := st.MemberAt(h.ToOffset); ok && h.ToOffset >= uint64(s.arch.WordSize) {
			r.ToMember = m.Path
		}
	}
	if h.Root >= 0 {
		s.nameRoot(p, h, &r)
		return r
	}
	o := &p.objects[h.Object]
	r.Class, r.From = "object", report.Hex(o.Addr).String()
	switch {
	case h.Edge:
		r.Member = "its descriptor"
	case h.Copy >= 0 && p.percpu != nil && h.Copy < len(p.percpu.CPUs):
		r.From += fmt.Sprintf(" on CPU %d", p.percpu.CPUs[h.Copy].ID)
	}
	if st := s.structAt(o); st != nil {
		r.Type = st.Tag()
		if m, ok := st.MemberAt(h.Offset); ok && !h.Edge {
			r.Member = m.Path
		}
		r.NoPointer = !h.Edge && !s.mayPoint(p, h.Object, h.Offset)
	} else if o.cache != "" {
		r.Type = o.cache
	}
	return r
}

// mayPoint says whether by its type a word of an object may be a pointer.
func (s *Session) mayPoint(p *picture, object int, offset uint64) bool {
	o, so := &p.objects[object], p.in.Objects[object]
	l := scanner.Layout{}
	if so.Layout > 0 {
		l = p.in.Layouts[so.Layout-1]
	} else if is, ok := s.structsOf(p, o); ok {
		l = s.layoutOf(is)
	} else {
		return true
	}
	may := false
	l.Each(offset, offset, func(_, _ uint64) { may = true })
	return may
}

// nameRoot names a reference from a root.
func (s *Session) nameRoot(p *picture, h scanner.Hop, r *report.Reference) {
	root := &p.in.Roots[h.Root]
	r.From = root.Name
	switch root.Class {
	case scanner.ClassRegister:
		r.Class = "register"
		if h.Word >= 0 && h.Word < len(root.WordNames) {
			r.Symbol = root.WordNames[h.Word]
		}
	case scanner.ClassStack:
		r.Class = "stack"
		if f := s.frameOf(p, root, h.Addr); f != "" {
			r.Symbol = "in " + f
		}
	case scanner.ClassData:
		r.Class = "data"
		s.nameData(h.Addr, r)
	case scanner.ClassModule:
		r.Class = "module"
		if name := p.moduleSection(h.Addr); name != "" {
			r.From = name
		}
		s.nameData(h.Addr, r)
	case scanner.ClassPerCPU:
		r.Class = "per-CPU"
		s.namePerCPU(p, h.Addr, r)
	case scanner.ClassPageDesc:
		r.Class = "page descriptor"
		if frame, ok := p.pages.FrameOfDesc(h.Addr); ok {
			r.From = fmt.Sprintf("page frame %#x", uint64(frame))
		}
	default:
		r.Class = "pages"
	}
}

// nameData names the variable at an address.
func (s *Session) nameData(a guestmem.GVA, r *report.Reference) {
	f, ok := s.space.DataAt(a, now)
	if !ok || f.Symbol == "" {
		return
	}
	r.Symbol, r.Offset = symbolName(f), f.Offset
	if link, ok := s.space.Link(a); ok {
		s.nameMember(link-f.Offset, f, r)
	}
}

// nameMember names the member of a variable of the kernel, by the variable's
// link address.
func (s *Session) nameMember(link uint64, f symbols.Frame, r *report.Reference) {
	st, err := s.img.VariableType(symbols.Symbol{Name: f.Symbol, Addr: link})
	if err != nil {
		s.log.Debug("looking for a variable's type", "variable", f.Symbol, "error", err)
	}
	if st == nil || st.Size == 0 {
		return
	}
	r.Type = st.Tag()
	if m, ok := st.MemberAt(f.Offset % st.Size); ok {
		r.Member = m.Path
		if f.Offset >= st.Size {
			r.Member = fmt.Sprintf("[%d].%s", f.Offset/st.Size, m.Path)
		}
	}
}

// namePerCPU names the per-CPU variable at an address of one CPU's copy.
func (s *Session) namePerCPU(p *picture, a guestmem.GVA, r *report.Reference) {
	for cpu := range p.percpu.CPUs {
		if static := p.percpu.Static(cpu); static.Contains(a) {
			if f, ok := s.space.PerCPUAt(uint64(a - static.Start)); ok {
				r.Symbol, r.Offset = f.Symbol, f.Offset
				if start, err := s.img.Symbol("__per_cpu_start"); err == nil {
					s.nameMember(start.Addr+uint64(a-static.Start)-f.Offset, f, r)
				}
			}
			return
		}
		for _, m := range p.modules {
			start := p.percpu.Copy(cpu, m.PerCPU)
			if m.PerCPUSize == 0 || a < start || uint64(a-start) >= m.PerCPUSize {
				continue
			}
			if f, ok := s.space.DataAt(guestmem.GVA(m.PerCPU)+a-start, now); ok {
				r.Symbol, r.Offset = symbolName(f), f.Offset
			}
			return
		}
	}
}

func symbolName(f symbols.Frame) string {
	if f.Module != "" {
		return f.Symbol + " [" + f.Module + "]"
	}
	return f.Symbol
}

// moduleSection names the section of a module that an address lies in; empty
// where the kernel does not keep them.
func (p *picture) moduleSection(a guestmem.GVA) string {
	for _, m := range p.modules {
		if !m.Contains(a) {
			continue
		}
		sections, _ := p.kernel.ModuleSections(m)
		best := -1
		for i, sec := range sections {
			if sec.Addr <= a && m.Contains(sec.Addr) && (best < 0 || sec.Addr > sections[best].Addr) {
				best = i
			}
		}
		if best >= 0 {
			return "module " + m.Name + " " + sections[best].Name
		}
	}
	return ""
}

// maxFrames bounds the frames of a stack that a word is looked for in.
const maxFrames = 64

// frameOf names the function in whose frame a word of a stack lies, empty
// where the stack cannot be unwound so far, or grows upward.
func (s *Session) frameOf(p *picture, root *scanner.Root, a guestmem.GVA) string {
	stack := make([]byte, min(root.Range.Size(), 1<<16))
	if s.arch.Call.StackUp || guestmem.Read(p.mem, root.Range.Start, stack) != nil {
		return ""
	}
	u, err := s.space.Unwinder()
	if err != nil {
		return ""
	}
	word := guestmem.GVA(s.arch.WordSize)
	at := func(slot guestmem.GVA) uint64 {
		off := uint64(slot - root.Range.Start)
		if off+uint64(word) > uint64(len(stack)) {
			return 0
		}
		return s.arch.Word(stack[off:])
	}
	pcs := make([]guestmem.GVA, maxFrames)
	call := &s.arch.Call
	for _, regs := range p.registers {
		if sp := guestmem.GVA(s.arch.StackPointer(regs)); sp == root.Range.Start {
			n, _ := u.Unwind(now, guestmem.GVA(regs[call.PC]), sp, regs[call.FP], stack, pcs)
			return s.inFrames(append([]guestmem.GVA{guestmem.GVA(regs[call.PC])}, pcs[:n]...), sp, root.Range.End, a, at)
		}
	}
	// A task that sleeps: a switch saved some registers and, behind them,
	// where it goes on.
	const saved = 24 // words
	for k := range guestmem.GVA(saved) {
		slot := root.Range.Start + k*word
		pc := guestmem.GVA(at(slot))
		if s.space.Resolve(pc, now).Symbol == "" {
			continue
		}
		fp := uint64(0)
		if k > 0 {
			fp = at(slot - word)
		}
		n, complete := u.Unwind(now, pc, slot+word, fp, stack[uint64(slot+word-root.Range.Start):], pcs)
		if !complete || n == 0 {
			continue
		}
		if a <= slot {
			return "what the task switch saved"
		}
		return s.inFrames(append([]guestmem.GVA{pc}, pcs[:n]...), slot+word, root.Range.End, a, at)
	}
	return ""
}

// inFrames walks the frames of a stack from an address up, by the slots that
// hold the return addresses pcs[1:], to the one with a word.
func (s *Session) inFrames(pcs []guestmem.GVA, from, end, a guestmem.GVA, at func(guestmem.GVA) uint64) string {
	word := guestmem.GVA(s.arch.WordSize)
	for i, pc := range pcs {
		slot := end
		if i+1 < len(pcs) {
			for slot = from; slot < end && at(slot)+s.arch.Call.LinkSkip != uint64(pcs[i+1]); {
				slot += word
			}
		}
		if a <= slot || i+1 == len(pcs) {
			f := s.space.ResolveReturn(pc, now)
			if f.Symbol == "" {
				return ""
			}
			return strings.TrimSpace(symbolName(f))
		}
		from = slot + word
	}
	return ""
}
