package leak

import (
	"slices"

	"github.com/leakvisor/leakvisor/annotations"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
)

// Numbers of the rules that stand for the marks of a kernel that makes them by
// functions; see notedRules.
const (
	ruleNotLeak = iota
	ruleIgnore
)

// notedRules stand for the marks of a kernel that tells its own kmemleak, in
// place of the list of what Linux's source marks. That they match is told by
// the hooks on these functions; no object is allocated by them. Of the list
// the scan areas stay: Linux marks a vmap_area only if it is new.
func notedRules(linux []annotations.Rule) []annotations.Rule {
	rules := []annotations.Rule{
		ruleNotLeak: {Action: annotations.NotLeak, Function: []annotations.Pattern{"kmemleak_not_leak"}, Reason: "The kernel called kmemleak_not_leak for it.", File: "the guest's kmemleak"},
		ruleIgnore:  {Action: annotations.Ignore, Function: []annotations.Pattern{"kmemleak_ignore"}, Reason: "The kernel called kmemleak_ignore for it.", File: "the guest's kmemleak"},
	}
	for _, r := range linux {
		if r.Action == annotations.ScanArea {
			rules = append(rules, r)
		}
	}
	return rules
}

// markNoted does to object i what the guest told its own kmemleak of it.
func (s *Session) markNoted(p *picture, i int) {
	n := s.tracker.Noted(p.objects[i].Addr)
	if n == nil {
		return
	}
	so := &p.in.Objects[i]
	switch {
	case n.MinCount < 0:
		p.covers[i] = ruleIgnore
		so.Flag |= scanner.NoScan
	case n.MinCount == 0:
		p.covers[i] = ruleNotLeak
	}
	if n.NoScan {
		so.Flag |= scanner.NoScan
	}
	for _, a := range n.Areas {
		end := so.Addr + guestmem.GVA(so.Size)
		if a.Start >= so.Addr && a.Start < end {
			so.Parts = append(so.Parts, gvaRange{Start: a.Start, End: min(a.End, end)})
		}
	}
}

// notedObjects takes the objects that only kmemleak was told of: pages that
// somebody keeps as objects, and those from before the allocators were up. What
// is to be ignored is not scanned.
func (s *Session) notedObjects(p *picture, slabs *kernel.Slabs) {
	slab, vmalloc := s.tracker.LiveSet(hooks.Slab), s.tracker.LiveSet(hooks.Vmalloc)
	for n := range s.tracker.AllNoted().All() {
		if n.Size == 0 || n.MinCount == 0 || slab.Get(n.Addr) != nil || vmalloc.Get(n.Addr) != nil {
			continue
		}
		frame, inRAM := p.pages.Frame(n.Addr)
		if !inRAM {
			continue
		}
		switch p.pages.Class(frame) {
		case kernel.PageSlab:
			if slabs == nil || n.MinCount < 0 {
				continue
			}
			if sl, i, err := slabs.Find(n.Addr); err == nil && sl.Allocated(i) && sl.Object(i) == n.Addr && !kernel.Bookkeeping(sl.Cache.Name) {
				p.audit.tracked++
				p.addSlab(n.Object, sl.Cache)
			}
		case kernel.PageKernel, kernel.PageReserved:
			r := gvaRange{Start: n.Addr, End: n.Addr + guestmem.GVA(n.Size)}
			if r.Size() == 0 {
				continue
			}
			p.claims.add(r, p.pages.PageSize())
			if n.MinCount > 0 {
				p.add(object{Object: n.Object, class: hooks.Pages}, scanner.Object{Addr: n.Addr, Size: n.Size})
			}
		}
	}
}

// marks says how what Linux's source marks as no leak is known.
func (s *Session) marks() report.Marks {
	if s.plan.Noted {
		return report.MarksByHooks
	}
	return report.MarksByRules
}

// looked says whether the guest's kmemleak looks for references at an address
// in a vmalloc block: it was not told that there are none.
func (s *Session) looked(at guestmem.GVA) bool {
	o := s.tracker.LiveSet(hooks.Vmalloc).Covering(at)
	if o == nil {
		return true
	}
	n := s.tracker.Noted(o.Addr)
	if n == nil || n.Areas == nil {
		return n == nil || !n.NoScan
	}
	return slices.ContainsFunc(n.Areas, func(r gvaRange) bool { return r.Contains(at) })
}
