package leak

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
)

// dataSections are the kernel's writable data by the linker script's symbols
// (include/asm-generic/vmlinux.lds.h and arch/*/kernel/vmlinux.lds.S). The
// data that is only used while booting counts until it is freed.
var dataSections = []struct{ name, start, end string }{
	{".data", "_sdata", "_edata"},
	{".bss", "__bss_start", "__bss_stop"},
	{"read-only after init", "__start_ro_after_init", "__end_ro_after_init"},
	{".brk", "__brk_base", "__brk_limit"},
	{"init data", "__init_begin", "__init_end"},
}

// Roots say what counts for references from the start. The zero value is what
// the kernel has in use.
type Roots struct {
	// WholeStacks takes also what is left on stacks of calls that have
	// returned, as kmemleak does.
	WholeStacks bool
	// Kmemleak leaves out what kmemleak does not look at: memory from the
	// page allocator, and the vCPUs' registers.
	Kmemleak bool
}

// Stacks names how stacks are scanned.
func (r Roots) Stacks() report.Stacks {
	if r.WholeStacks {
		return report.WholeStacks
	}
	return report.LiveStacks
}

// roots makes the scan's roots. Whole stacks are cut out of everything, and
// their live parts added.
func (s *Session) roots(p *picture) {
	s.dataRoots(p)
	s.moduleRoots(p)
	s.perCPURoots(p)
	p.stackRoots()
	if !p.from.Kmemleak {
		s.registerRoots(p)
	}
	s.pageRoots(p)
}

func (s *Session) registerRoots(p *picture) {
	for i, regs := range p.registers {
		r := scanner.Root{Name: fmt.Sprintf("vCPU %d", i), Class: scanner.ClassRegister, Words: []uint64{}}
		for _, reg := range s.arch.Regs {
			if v, ok := regs[reg.Name]; ok {
				r.Words = append(r.Words, v)
				r.WordNames = append(r.WordNames, reg.Name)
			}
		}
		for _, v := range p.besides[i].Words {
			r.Words, r.WordNames = append(r.Words, v), append(r.WordNames, "a register not in use")
		}
		p.in.Roots = append(p.in.Roots, r)
	}
}

// stackRoots adds the live parts of all stacks or, if asked for, all of them:
// with what is left of calls that ended long ago, as kmemleak sees them.
func (p *picture) stackRoots() {
	if !p.from.WholeStacks {
		for _, st := range p.live {
			p.root(scanner.ClassStack, st.Name, st.Range)
		}
		return
	}
	var named []gvaRange
	for _, t := range p.tasks {
		p.root(scanner.ClassStack, fmt.Sprintf("stack of %s[%d]", t.Comm, t.PID), t.Stack)
		named = append(named, t.Stack)
	}
	named = disjoint(named)
	for _, st := range p.stacks {
		for _, part := range without(st, named) {
			p.root(scanner.ClassStack, "stack of a CPU, or of no task", part)
		}
	}
}

// root adds a range.
func (p *picture) root(class scanner.Class, name string, r gvaRange) {
	if r.Size() > 0 {
		p.in.Roots = append(p.in.Roots, scanner.Root{Name: name, Class: class, Range: r})
	}
}

// rootWithoutStacks adds a range without the stacks in it.
func (p *picture) rootWithoutStacks(class scanner.Class, name string, r gvaRange) {
	for _, part := range without(r, p.stacks) {
		p.root(class, name, part)
	}
}

func (s *Session) dataRoots(p *picture) {
	var whole gvaRange
	if start, ok := p.kernel.Addr("_text"); ok {
		if end, ok := p.kernel.Addr("_end"); ok {
			whole = gvaRange{Start: start, End: end}
		}
	}
	var done []gvaRange
	if !p.from.Kmemleak {
		done = s.constants(p)
	}
	for _, sec := range dataSections {
		start, ok1 := p.kernel.Addr(sec.start)
		end, ok2 := p.kernel.Addr(sec.end)
		if !ok1 || !ok2 || start >= end {
			continue
		}
		for _, r := range without(gvaRange{Start: start, End: end}, done) {
			for _, held := range s.held(p, r) {
				p.rootWithoutStacks(scanner.ClassData, sec.name, held)
			}
		}
		done = disjoint(append(done, gvaRange{Start: start, End: end}))
	}
	for _, held := range s.held(p, whole) {
		p.claims.add(held, p.pages.PageSize())
	}
}

// constants returns what only the compiler and the linker write, which on some
// architectures lies between _sdata and _edata: names and checksums there look
// like references.
func (s *Session) constants(p *picture) []gvaRange {
	span := func(start, end string) []gvaRange {
		from, ok1 := p.kernel.Addr(start)
		to, ok2 := p.kernel.Addr(end)
		if !ok1 || !ok2 || from >= to {
			return nil
		}
		return []gvaRange{{Start: from, End: to}}
	}
	var out []gvaRange
	for _, r := range span("__start_rodata", "__end_rodata") {
		out = without(r, span("__start_ro_after_init", "__end_ro_after_init"))
	}
	return out
}

// held returns the parts of a range of the kernel's image that are still the
// image's: pages that were given back to the page allocator (init data) are
// anybody's.
func (s *Session) held(p *picture, r gvaRange) []gvaRange {
	page := guestmem.GVA(p.pages.PageSize())
	var out []gvaRange
	for at := r.Start; at < r.End; {
		next := min(at&^(page-1)+page, r.End)
		gpa, _, err := p.mem.Translate(at)
		if err == nil && p.pages.Class(kernel.PFN(uint64(gpa)/uint64(page))) == kernel.PageReserved {
			out = extend(out, gvaRange{Start: at, End: next})
		}
		at = next
	}
	return out
}

// extend appends r, or lengthens the last range where that touches it.
func extend(ranges []gvaRange, r gvaRange) []gvaRange {
	if n := len(ranges); n > 0 && ranges[n-1].End == r.Start {
		ranges[n-1].End = r.End
		return ranges
	}
	return append(ranges, r)
}

// mapped returns the parts of a range that the kernel's page tables map.
func (s *Session) mapped(p *picture, r gvaRange) []gvaRange {
	page := guestmem.GVA(1) << s.arch.Paging.PageShift
	var out []gvaRange
	for at := r.Start; at < r.End; {
		_, left, err := p.mem.Translate(at)
		if err != nil {
			at = at&^(page-1) + page
			continue
		}
		next := min(at+guestmem.GVA(left), r.End)
		out = extend(out, gvaRange{Start: at, End: next})
		at = next
	}
	return out
}

func (s *Session) moduleRoots(p *picture) {
	for _, m := range p.modules {
		for _, part := range m.Mem {
			if part.Kind.Data() && (!p.from.Kmemleak || s.looked(part.Range.Start)) {
				p.root(scanner.ClassModule, fmt.Sprintf("module %s %s", m.Name, part.Kind), part.Range)
			}
		}
		if m.PerCPUSize == 0 || p.percpu == nil {
			continue
		}
		for cpu := range p.percpu.CPUs {
			start := p.percpu.Copy(cpu, m.PerCPU)
			p.root(scanner.ClassPerCPU, fmt.Sprintf("module %s per-CPU data of CPU %d", m.Name, p.percpu.CPUs[cpu].ID), gvaRange{Start: start, End: start + guestmem.GVA(m.PerCPUSize)})
		}
	}
}

func (s *Session) perCPURoots(p *picture) {
	if p.percpu == nil {
		return
	}
	for cpu := range p.percpu.CPUs {
		static := p.percpu.Static(cpu)
		p.rootWithoutStacks(scanner.ClassPerCPU, fmt.Sprintf("per-CPU data of CPU %d", p.percpu.CPUs[cpu].ID), static)
		p.claims.add(static, p.pages.PageSize())
	}
}

// pageRoots adds what is in use and accounted for by nothing else, and the
// descriptors of the pages in use: some pointers are only there.
func (s *Session) pageRoots(p *picture) {
	for _, st := range p.stacks {
		p.claims.add(st, p.pages.PageSize())
	}
	s.claimDescriptors(p)
	p.claims.merge()
	p.pages.Each(func(r kernel.PageRange) bool {
		switch r.Class {
		case kernel.PageFree, kernel.PageUnknown, kernel.PageSpecial, kernel.PageKFENCE:
			return true
		case kernel.PageKernel, kernel.PageReserved, kernel.PageLargeKmalloc:
			if p.from.Kmemleak && r.Class != kernel.PageReserved {
				break
			}
			virt := p.pages.Virt(r)
			var firmware []gvaRange
			if f, at := s.arch.Linux.Firmware, uint64(r.Start)*p.pages.PageSize(); r.Class == kernel.PageReserved {
				firmware = []gvaRange{{Start: virt.Start + guestmem.GVA(f.Start-at), End: virt.Start + guestmem.GVA(f.End-at)}}
			}
			p.claims.rest(p.pages, r, func(from, to uint64) {
				// Other pages of firmware are reserved too, and not mapped.
				for _, rest := range without(gvaRange{Start: virt.Start + guestmem.GVA(from), End: virt.Start + guestmem.GVA(to)}, firmware) {
					for _, part := range s.mapped(p, rest) {
						p.root(scanner.ClassPages, r.Class.String()+" pages", part)
					}
				}
			})
		}
		if r.Class != kernel.PageReserved {
			p.root(scanner.ClassPageDesc, "page descriptors", p.pages.Desc(r))
			p.in.Exclude = append(p.in.Exclude, p.pages.Names(r)...)
		}
		return true
	})
}

// claimDescriptors keeps the memory of the page descriptors themselves from
// being scanned as pages: most of it describes free pages.
func (s *Session) claimDescriptors(p *picture) {
	p.pages.Each(func(r kernel.PageRange) bool {
		p.claims.add(p.pages.Desc(r), p.pages.PageSize())
		return true
	})
}
