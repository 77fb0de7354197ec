package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// PFN is a page frame number: a physical address divided by the page size.
type PFN uint64

// memoryMap is where page frames and their descriptors are mapped.
type memoryMap struct {
	direct    guestmem.GVA // of physical address zero
	vmemmap   guestmem.GVA // of the struct page of frame zero
	pageSize  uint64
	descSize  uint64 // sizeof(struct page)
	maxFrames uint64 // all frames are below
	top       uint64 // the highest address: sums wrap behind it
	low       uint64 // frames from here on are not in the direct map
}

// pageAddr returns the direct-map address of a page frame or, for one of high
// memory, that in the window of 32-bit guests' address spaces.
func (m *memoryMap) pageAddr(p PFN) guestmem.GVA {
	if uint64(p) >= m.low {
		return guestmem.PhysicalWindow + guestmem.GVA(uint64(p)*m.pageSize)
	}
	return guestmem.GVA((uint64(m.direct) + uint64(p)*m.pageSize) & m.top)
}

// desc returns the address of a frame's struct page.
func (m *memoryMap) desc(p PFN) guestmem.GVA {
	return guestmem.GVA((uint64(m.vmemmap) + uint64(p)*m.descSize) & m.top)
}

// frame returns the frame whose struct page is at d.
func (m *memoryMap) frame(d guestmem.GVA) (PFN, bool) {
	off := uint64(d-m.vmemmap) & m.top
	p := off / m.descSize
	return PFN(p), off%m.descSize == 0 && p < m.maxFrames
}

// frameOf returns the frame of a direct-map address.
func (m *memoryMap) frameOf(a guestmem.GVA) (PFN, bool) {
	if m.low < m.maxFrames && a >= guestmem.PhysicalWindow {
		p := uint64(a-guestmem.PhysicalWindow) / m.pageSize
		return PFN(p), p >= m.low && p < m.maxFrames
	}
	p := (uint64(a-m.direct) & m.top) / m.pageSize
	return PFN(p), p < min(m.low, m.maxFrames)
}

// memoryMap reads where this boot has its memory map.
func (k *Kernel) memoryMap() (*memoryMap, error) {
	m := &memoryMap{pageSize: k.pageSize(), descSize: k.lay.page.size, top: k.top(), low: ^uint64(0)}
	for _, r := range k.phys.RAM() {
		m.maxFrames = max(m.maxFrames, (uint64(r.End)+m.pageSize-1)/m.pageSize)
	}
	var err error
	if m.direct, err = k.DirectMap(); err != nil {
		return nil, err
	}
	if k.arch.WordSize == 4 && k.arch.Linux.DirectMap == nil {
		if m.low, err = k.word("max_low_pfn"); err != nil {
			return nil, err
		}
	}
	m.vmemmap, err = k.pageDescriptors(m)
	return m, err
}

func (k *Kernel) base(b *arch.Base, what string) (uint64, error) {
	if _, ok := k.Addr(b.Symbol); ok {
		return k.word(b.Symbol)
	}
	if b.Value == 0 {
		return 0, fmt.Errorf("the place of %s: %w", what, ErrUnsupported)
	}
	return b.Value, nil
}

// DirectMap returns the address at which physical address zero is mapped, or
// would be where the map begins above: addresses wrap.
func (k *Kernel) DirectMap() (guestmem.GVA, error) {
	const what = "the direct map"
	if b := k.arch.Linux.DirectMap; b != nil {
		v, err := k.base(b, what)
		return guestmem.GVA(v), err
	}
	// Where the map ends, as an address and as a frame: high_memory is
	// __va(max_low_pfn << PAGE_SHIFT), mm/memory.c and arch/*/mm/init.c; some
	// have one byte less.
	end, err := k.word("high_memory")
	if err != nil {
		return 0, err
	}
	frames, err := k.word("max_low_pfn")
	if err != nil {
		return 0, err
	}
	page := k.pageSize()
	if end == 0 || frames == 0 || frames > k.top()/page {
		return 0, inconsistent("%s ends at %#x, frame %#x", what, end, frames)
	}
	return guestmem.GVA((roundUp(end, page) - frames*page) & k.top()), nil
}

// top is the highest address that a word can hold.
func (k *Kernel) top() uint64 { return ^uint64(0) >> (64 - 8*k.arch.WordSize) }

type pageLayout struct {
	size                                   uint64
	flags, mapping, private, compound, typ member
	lru                                    member     // buddy and per-CPU lists go through it
	virtual                                member     // the page's address, in a few kernels
	lruBit, swapBit, reservedBit, slabBit  uint64     // masks for flags; zero for none
	types                                  []pageType // known from the types alone
	zones                                  zoneLayout
	mem                                    memLayout
}

// pageType says what class a page has whose page_type, cut by mask, is value.
type pageType struct {
	mask, value uint32
	class       PageClass
}

func newPageLayout(l *layout) pageLayout {
	l.find("page", nearPage...)
	p := pageLayout{
		size:     l.size("page"),
		flags:    l.need("page", "flags"),
		mapping:  l.need("page", "mapping"),
		private:  l.need("page", "private"),
		compound: l.need("page", "compound_head"),
		typ:      l.need("page", "page_type", "_mapcount"),
		lru:      l.need("page", "pcp_list", "lru"),
	}
	p.virtual, _ = l.opt("page", "virtual") // WANT_PAGE_VIRTUAL
	mask := func(name string) uint64 {
		v, ok := l.constant(name, nearPage...)
		if !ok || v < 0 || v > 63 {
			return 0
		}
		return 1 << v
	}
	p.lruBit, p.swapBit, p.reservedBit = mask("PG_lru"), mask("PG_swapbacked"), mask("PG_reserved")
	if p.reservedBit == 0 {
		l.missing["PG_reserved"] = true
	}
	// PG_slab is a page flag up to 6.9 and a page type since; a slab's
	// descriptor tells, whose place for the type is __unused before. (A
	// search for a constant which is not there is slow.)
	l.find("slab", nearSlab...)
	if _, typed := l.opt("slab", "__page_type"); typed {
		p.types = pageTypes(l)
	} else {
		p.slabBit = mask("PG_slab")
	}
	p.zones = newZoneLayout(l)
	p.mem = newMemLayout(l)
	return p
}

// pageTypes returns how enum pagetype encodes the types: as a number in the
// top byte (PGTY_*, 6.12), or as bits that are cleared (PG_*, 6.11).
// Before 6.11 they were macros, and are learned from pages; PG_slab, which is
// a page flag until 6.9, is then a page type in 6.10 only.
func pageTypes(l *layout) []pageType {
	var out []pageType
	classes := []struct {
		name  string
		class PageClass
	}{
		{"buddy", PageFree}, {"slab", PageSlab}, {"table", PageTable}, {"large_kmalloc", PageLargeKmalloc}, {"offline", PageSpecial},
		{"guard", PageSpecial}, {"unaccepted", PageSpecial}, {"zsmalloc", PageUser}, {"hugetlb", PageUser},
	}
	_, numbers := l.constant("PGTY_buddy", nearPage...)
	var base int64
	if !numbers {
		var ok bool
		if base, ok = l.constant("PAGE_TYPE_BASE", nearPage...); !ok {
			return nil
		}
	}
	for _, c := range classes {
		if c.class == PageLargeKmalloc && !l.has("free_frozen_pages") {
			continue // both came with 6.14
		}
		if numbers {
			if v, ok := l.constant("PGTY_"+c.name, nearPage...); ok {
				out = append(out, pageType{0xff00_0000, uint32(v) << 24, c.class})
			}
		} else if v, ok := l.constant("PG_"+c.name, nearPage...); ok {
			out = append(out, pageType{uint32(base | v), uint32(base), c.class})
		}
	}
	return out
}
