package leak

import (
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/scanner"
)

// pageObjects takes the tracked page blocks that are still in use: the
// tracker knows each block's last allocation, its descriptor whether it was
// freed since. Pointers to a block are those into it and those to its
// descriptor.
func (s *Session) pageObjects(p *picture) {
	p.claims.merge()
	others := claims{ranges: p.claims.ranges}
	firsts, blocks := p.pageBlocks(s.tracker.Live(hooks.Pages))
	for _, first := range firsts {
		o := blocks[first]
		if p.pages.Class(first) != kernel.PageKernel || o.Seq < coveredSince(blocks, first) {
			continue
		}
		r := kernel.PageRange{Start: first, End: first + 1, Class: kernel.PageKernel}
		// Its last pages may have been given back (alloc_pages_exact).
		for r.End < first+1<<o.Size && p.pages.Class(r.End) == kernel.PageKernel {
			r.End++
		}
		virt := p.pages.Virt(r)
		if others.has(p.pages.Phys(r).Start) { // part of another object
			continue
		}
		o.Addr, o.Size = virt.Start, virt.Size()
		p.claims.add(virt, p.pages.PageSize())
		so := scanner.Object{Addr: o.Addr, Size: o.Size, Copies: []gvaRange{p.pages.Desc(r)}, Parts: s.mapped(p, virt)}
		if p.onStack(o.Addr) || len(so.Parts) == 0 {
			so.Flag = scanner.NoScan
		}
		if p.ofCPU(o.Addr) {
			so.Flag = scanner.Gray | scanner.NoScan
		}
		p.add(object{Object: o, class: hooks.Pages}, so)
	}
}

// maxOrder bounds log2 of the pages in a block: no kernel's buddy allocator has
// larger ones.
const maxOrder = 20

// pageBlocks returns page blocks by their first frames, and these in the order
// of the blocks.
func (p *picture) pageBlocks(live []hooks.Object) (firsts []kernel.PFN, blocks map[kernel.PFN]hooks.Object) {
	blocks = make(map[kernel.PFN]hooks.Object, len(live))
	for _, o := range live {
		if first, ok := p.pages.FrameOfDesc(o.Addr); ok && o.Size <= maxOrder {
			firsts, blocks[first] = append(firsts, first), o
		}
	}
	return firsts, blocks
}

// coveredSince returns when the last block was allocated of which the frame is
// a part, but not the first, or zero. What began there before has ended by
// then. Descriptors do not tell: those of a block's other pages are as they
// were left, unless it is a compound page. A block is aligned to its size.
func coveredSince(blocks map[kernel.PFN]hooks.Object, f kernel.PFN) uint64 {
	seq := uint64(0)
	for order := uint64(1); order <= maxOrder; order++ {
		first := f &^ (1<<order - 1)
		if o, ok := blocks[first]; ok && first != f && o.Size >= order {
			seq = max(seq, o.Seq)
		}
	}
	return seq
}
