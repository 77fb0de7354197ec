package leak

import (
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/scanner"
)

// perCPUObjects takes the tracked per-CPU objects: matched by the offset that
// the allocator returned and by the address of each copy, of which all are
// scanned. They come before all others, so that an address which is both is
// that of the other.
func (s *Session) perCPUObjects(p *picture) {
	if p.percpu == nil {
		return
	}
	for i := range p.percpu.Chunks {
		c := &p.percpu.Chunks[i]
		p.in.Exclude = append(p.in.Exclude, c.BaseWord)
		for cpu := range p.percpu.CPUs {
			for _, part := range c.Populated {
				p.claims.add(p.percpu.Range(c, cpu, part), p.pages.PageSize())
			}
		}
	}
	for _, o := range s.tracker.Live(hooks.PerCPU) {
		so := scanner.Object{Addr: o.Addr, Size: o.Size, Flag: scanner.NotMapped}
		for cpu := range p.percpu.CPUs {
			start := p.percpu.Copy(cpu, uint64(o.Addr))
			so.Copies = append(so.Copies, gvaRange{Start: start, End: start + guestmem.GVA(o.Size)})
		}
		if len(so.Copies) == 1 && so.Copies[0].Start == o.Addr { // no SMP
			so = scanner.Object{Addr: o.Addr, Size: o.Size}
		}
		for _, m := range p.modules {
			if m.PerCPUSize > 0 && m.PerCPU == uint64(o.Addr) {
				so.Flag |= scanner.Gray
			}
		}
		p.add(object{Object: o, class: hooks.PerCPU, asked: o.Size}, so)
	}
}

// sharedPointers takes those per-CPU objects for live of which some pointer is
// another object's address as well: per-CPU pointers are offsets, and only on
// some architectures (x86-64) such that nothing else can be there.
func (p *picture) sharedPointers() {
	var all gvaRange // that per-CPU pointers can be
	for i := range p.in.Objects {
		if so := &p.in.Objects[i]; so.Flag&scanner.NotMapped != 0 {
			if end := so.Addr + guestmem.GVA(so.Size); all.Size() == 0 {
				all = gvaRange{Start: so.Addr, End: end}
			} else {
				all = gvaRange{Start: min(all.Start, so.Addr), End: max(all.End, end)}
			}
		}
	}
	var others []gvaRange
	for i := range p.in.Objects {
		so := &p.in.Objects[i]
		if so.Flag&scanner.NotMapped == 0 && so.Addr < all.End && so.Addr+guestmem.GVA(so.Size) > all.Start {
			others = append(others, gvaRange{Start: so.Addr, End: so.Addr + guestmem.GVA(so.Size)})
		}
	}
	others = disjoint(others)
	for i := range p.in.Objects {
		so := &p.in.Objects[i]
		if so.Flag&scanner.NotMapped == 0 {
			continue
		}
		k := sort.Search(len(others), func(k int) bool { return others[k].End > so.Addr })
		if k < len(others) && others[k].Start < so.Addr+guestmem.GVA(so.Size) {
			so.Flag |= scanner.Gray
		}
	}
}
