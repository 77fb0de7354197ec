package kernel

import (
	"fmt"
	"math/bits"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Bounds for zones.
const (
	maxOrder = 18 // of a buddy block: MAX_PAGE_ORDER is 10, CONFIG_ARCH_FORCE_MAX_ORDER at most 15
	maxNodes = 1024
)

type zoneLayout struct {
	zones      member // pglist_data.node_zones
	stride     uint64
	areas      member // zone.free_area
	areaStride uint64
	lists      member // free_area.free_list
	pageset    member // zone.per_cpu_pageset, zone.pageset before 5.13: per-CPU pointer; none if CPUs keep no free pages
	pcpLists   member // from there
	pcpTypes   uint64 // lists an order
}

func newZoneLayout(l *layout) zoneLayout {
	l.find("pglist_data", nearPage...)
	l.find("zone", nearPage...)
	l.find("free_area", nearPage...)
	z := zoneLayout{
		zones:      l.need("pglist_data", "node_zones"),
		stride:     l.size("zone"),
		areas:      l.need("zone", "free_area"),
		areaStride: l.size("free_area"),
		lists:      l.need("free_area", "free_list"),
	}
	l.needSymbol("node_data", "contig_page_data")
	if l.find("per_cpu_pages", nearPage...) == nil {
		return z
	}
	z.pageset = l.need("zone", "per_cpu_pageset", "pageset")
	lists := l.need("per_cpu_pages", "lists")
	if _, ok := l.opt("zone", "per_cpu_pageset"); ok || l.find("zone") == nil {
		z.pcpLists = lists
	} else if l.find("per_cpu_pageset", nearPage...) != nil { // before 5.13
		z.pcpLists = l.need("per_cpu_pageset", "pcp.lists")
	}
	z.pcpTypes = uint64(max(l.needConstant("MIGRATE_PCPTYPES", nearPage...), 1))
	return z
}

// zones returns the addresses of all struct zone.
func (k *Kernel) zones() ([]guestmem.GVA, error) {
	var nodes []guestmem.GVA
	if s, ok := k.info.symbol("node_data"); ok {
		w := uint64(k.arch.WordSize)
		for i := range min(s.Size/w, maxNodes) {
			n, err := k.mem.Pointer(guestmem.GVA(s.Addr + k.slide + i*w))
			if err != nil {
				return nil, fmt.Errorf("node_data: %w", err)
			}
			if n != 0 {
				nodes = append(nodes, n)
			}
		}
	} else if n, ok := k.Addr("contig_page_data"); ok {
		nodes = append(nodes, n)
	}
	lay := &k.lay.page.zones
	var out []guestmem.GVA
	for _, n := range nodes {
		for i := range min(lay.zones.Count, 16) {
			out = append(out, n+guestmem.GVA(lay.zones.Offset+i*lay.stride))
		}
	}
	return out, nil
}

// pageTypes returns how to read page_type. Where the types are macros, they
// are learned: what is on a free list is a free page, what a cache of caches
// lies in is a slab page, what a user's page tables name is a table.
func (k *Kernel) pageTypes(m *memoryMap) ([]pageType, error) {
	if k.lay.page.types != nil {
		return k.lay.page.types, nil
	}
	v, err := k.freePageType(m)
	if err != nil {
		return nil, err
	}
	out := []pageType{{^uint32(0), v, PageFree}}
	learn := func(d guestmem.GVA, class PageClass) {
		w, err := k.mem.Uint(d+guestmem.GVA(k.lay.page.typ.Offset), 4)
		// One type bit is cleared in an otherwise all-ones value: 4.18 to
		// 6.10, include/linux/page-flags.h.
		if err == nil && bits.OnesCount32(^uint32(w)) == 1 && uint32(w) != v {
			out = append(out, pageType{0xf000_0000 | ^uint32(w), 0xf000_0000, class})
		}
	}
	if k.lay.page.slabBit == 0 {
		if caches, _ := k.slabCacheAddrs(1); len(caches) > 0 {
			if f, ok := m.frameOf(caches[0]); ok {
				learn(k.headDesc(m, f), PageSlab)
			}
		}
	}
	if f, ok := k.someUserTable(m); ok {
		learn(m.desc(f), PageTable)
	}
	return out, nil
}

// freePageType returns the page_type of free pages: that of most list heads.
func (k *Kernel) freePageType(m *memoryMap) (uint32, error) {
	lay := &k.lay.page
	zones, err := k.zones()
	if err != nil {
		return 0, err
	}
	votes := map[uint32]int{}
	for _, z := range zones {
		for o := range min(lay.zones.areas.Count, maxOrder+1) {
			area := z + guestmem.GVA(lay.zones.areas.Offset+o*lay.zones.areaStride+lay.zones.lists.Offset)
			for t := range min(lay.zones.lists.Count, 16) {
				head := area + guestmem.GVA(t*uint64(2*k.arch.WordSize))
				node, err := k.mem.Pointer(head + guestmem.GVA(k.lay.list.next.Offset))
				if err != nil || node == head || node == 0 {
					continue
				}
				d := node - guestmem.GVA(lay.lru.Offset)
				if _, ok := m.frame(d); !ok {
					continue
				}
				if v, err := k.mem.Uint(d+guestmem.GVA(lay.typ.Offset), 4); err == nil {
					votes[uint32(v)]++
				}
			}
		}
	}
	best, n := uint32(0), 0
	for v, c := range votes {
		if c > n || c == n && v < best {
			best, n = v, c
		}
	}
	// As _mapcount it would be a count of mappings: a type is negative.
	if n == 0 || int32(best) >= -1 {
		return 0, inconsistent("the free lists name no free page")
	}
	return best, nil
}

// headDesc returns the struct page of the head of the compound page which
// frame f belongs to.
func (k *Kernel) headDesc(m *memoryMap, f PFN) guestmem.GVA {
	d := m.desc(f)
	head, err := k.mem.Word(d + guestmem.GVA(k.lay.page.compound.Offset))
	if err == nil && head&1 != 0 {
		if _, ok := m.frame(guestmem.GVA(head - 1)); ok {
			return guestmem.GVA(head - 1)
		}
	}
	return d
}

// someUserTable returns a frame that is a table of lower level in some
// process's page tables, by going down from the first present entry.
func (k *Kernel) someUserTable(m *memoryMap) (PFN, bool) {
	lay := &k.lay.task
	paging := k.arch.Paging
	if lay.mm.Size == 0 || lay.pgd.Size == 0 || paging == nil || len(paging.Levels) < 2 {
		return 0, false
	}
	tasks, _ := k.Tasks()
	for _, t := range tasks {
		r := k.at(t.Addr)
		mm := r.ptr(lay.mm)
		if r.err != nil || mm == 0 {
			continue
		}
		pgd, err := k.mem.Pointer(mm + guestmem.GVA(lay.pgd.Offset))
		if err != nil {
			continue
		}
		frame, ok := m.frameOf(pgd)
		page := uint64(1) << paging.PageShift
		table := guestmem.GPA(uint64(frame)*page + uint64(pgd)%page)
		for level := 0; ok && level < len(paging.Levels)-1; level++ {
			table, ok = k.firstTable(table, level)
		}
		if frame = PFN(uint64(table) / page); ok && uint64(frame) < m.maxFrames {
			return frame, true
		}
	}
	return 0, false
}

// firstTable returns the first table of the next level that a user's table
// names. (With an extra level in use it ends one level above the last.)
func (k *Kernel) firstTable(table guestmem.GPA, level int) (guestmem.GPA, bool) {
	p := k.arch.Paging
	l := p.Resolve(p.Levels[level])
	n := 1 << l.Bits
	if level == 0 {
		n /= 2 // the upper half is the kernel's
	}
	for i := range n {
		b, err := k.phys.ViewPhys(table+guestmem.GPA(i*l.EntrySize), l.EntrySize)
		if err != nil || len(b) < l.EntrySize {
			return 0, false
		}
		e := p.Entry(k.arch, b)
		if !l.Absent.Holds(e) && !l.Leaf.Holds(e) {
			at, ok := p.Address(l, e)
			return guestmem.GPA(at), ok
		}
	}
	return 0, false
}

// freeOnCPUs marks the free pages on the CPUs' lists (struct per_cpu_pages).
func (k *Kernel) freeOnCPUs(p *Pages) error {
	lay := &k.lay.page
	if lay.zones.pageset.Size == 0 {
		return nil
	}
	zones, err := k.zones()
	if err != nil {
		return err
	}
	cpus, err := k.CPUs()
	if err != nil {
		return err
	}
	var first error
	left := p.mm.maxFrames // no page is on two lists
	for _, z := range zones {
		pageset, err := k.mem.Word(z + guestmem.GVA(lay.zones.pageset.Offset))
		if err != nil {
			return fmt.Errorf("zone at %#x: %w", uint64(z), err)
		}
		if pageset == 0 {
			continue
		}
		for _, c := range cpus {
			lists := c.Addr(pageset) + guestmem.GVA(lay.zones.pcpLists.Offset)
			for i := range min(lay.zones.pcpLists.Count, 256) {
				order := k.pcpOrder(i)
				var bad error
				err := k.list(lists+guestmem.GVA(i*uint64(2*k.arch.WordSize)), int(p.mm.maxFrames), func(node guestmem.GVA) bool {
					f, ok := p.mm.frame(node - guestmem.GVA(lay.lru.Offset))
					if !ok || left == 0 {
						bad = inconsistent("%#x is on a list of free pages", uint64(node))
						return false
					}
					left--
					p.setFree(f, order)
					return true
				})
				if bad != nil {
					err = bad
				}
				if err != nil && first == nil {
					first = fmt.Errorf("free pages of CPU %d: %w", c.ID, err)
				}
			}
		}
	}
	return first
}

// pcpOrder returns the order of the blocks on a CPU's list i: up to 5.13 all
// are single pages; since then there is a list for each migrate type of each
// order up to PAGE_ALLOC_COSTLY_ORDER, then those for huge pages
// (order_to_pindex, mm/page_alloc.c).
func (k *Kernel) pcpOrder(i uint64) uint {
	const costly = 3
	z := &k.lay.page.zones
	if o := i / z.pcpTypes; o <= costly {
		return uint(o)
	}
	if p := k.arch.Paging; p != nil {
		for n := len(p.Levels) - 1; n > 0; n-- {
			if l := p.Levels[n-1]; l.Leaf.Mask != 0 {
				return l.Shift - p.PageShift
			}
		}
	}
	return 0
}

func (p *Pages) setFree(f PFN, order uint) {
	part := p.part(f)
	if part == nil || order > maxOrder {
		return
	}
	i := uint64(f - part.first)
	for ; i < min(uint64(f-part.first)+1<<order, uint64(len(part.class))); i++ {
		if part.class[i] != PageFree {
			part.class[i] = PageFree
			p.PerCPU++
		}
	}
}
