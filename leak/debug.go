package leak

import (
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/scanner"
)

// kfenceObjects takes the tracked slab objects that KFENCE served. They are
// in no slab, and no longer than was asked for: behind them is a page that
// cannot be read.
func (s *Session) kfenceObjects(p *picture, slabs *kernel.Slabs) {
	live := s.tracker.LiveSet(hooks.Slab)
	known := map[guestmem.GVA]bool{}
	for _, k := range p.pages.KFENCE.Objects {
		p.audit.allocated++
		o := live.Get(k.Addr)
		if o == nil {
			continue
		}
		known[k.Addr] = true
		p.audit.tracked++
		obj := object{Object: *o, class: hooks.Slab}
		obj.Size = k.Size
		if slabs != nil {
			if c := slabs.Caches()[k.Cache]; c != nil {
				if kernel.Bookkeeping(c.Name) {
					s.addRecord(p, *o, c)
					continue
				}
				obj.cache, obj.cacheAddr = c.Name, c.Addr
			}
		}
		p.add(obj, scanner.Object{Addr: k.Addr, Size: k.Size})
	}
	for o := range live.All() {
		if p.pages.KFENCE.Pool.Contains(o.Addr) && !known[o.Addr] {
			p.audit.stale++
		}
	}
}

// addRecord adds what a debugging tool notes about some object: no leak, and
// no reference to that.
func (s *Session) addRecord(p *picture, o hooks.Object, cache *kernel.Cache) {
	o.Size = cache.ObjectSize
	so := scanner.Object{Addr: o.Addr, Size: o.Size, Flag: scanner.Gray}
	if link, ok := p.kernel.Link(cache, o.Addr); ok {
		so.Parts = []gvaRange{link}
	} else {
		so.Flag |= scanner.NoScan
	}
	p.add(object{Object: o, class: hooks.Slab, cache: cache.Name, cacheAddr: cache.Addr}, so)
}

// bookkeeping keeps what debugging tools in the guest note about objects from
// counting as references to them.
func (s *Session) bookkeeping(p *picture) {
	p.in.Exclude = append(p.in.Exclude, p.pages.KFENCE.Words...)
	ranges, err := p.kernel.Bookkeeping()
	p.doubt("the records of debugging tools", err)
	p.in.Exclude = append(p.in.Exclude, ranges...)
}
