package kernel

import (
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// PageClass says what a page of RAM is used for.
type PageClass uint8

// Page classes.
const (
	// PageUnknown has no descriptor that can be read.
	PageUnknown PageClass = iota
	// PageFree is in the buddy allocator or on a CPU's list of free pages.
	PageFree
	// PageSlab belongs to a slab cache.
	PageSlab
	// PageLargeKmalloc is a kmalloc beyond the slab caches (its own type
	// since 6.14; before, such pages are PageKernel).
	PageLargeKmalloc
	// PageTable is a page table, as far as the kernel marks them.
	PageTable
	// PageReserved was never given to the page allocator: the kernel image,
	// boot-time allocations, the page descriptors themselves, firmware.
	PageReserved
	// PageUser holds user memory or the content of files.
	PageUser
	// PageSpecial must not be read for what it holds: offline, guard.
	PageSpecial
	// PageKernel is in use by anybody else in the kernel.
	PageKernel
	// PageKFENCE is of KFENCE's pool: an object, or a guard.
	PageKFENCE
)

func (c PageClass) String() string {
	names := [...]string{"unknown", "free", "slab", "large kmalloc", "page table", "reserved", "user", "special", "kernel", "KFENCE"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("page class %d", uint8(c))
}

// Pages is the class of every page of RAM.
type Pages struct {
	// Buddy and PerCPU are how many free pages are in the buddy allocator
	// (MemFree of /proc/meminfo) and on the CPUs' lists.
	Buddy, PerCPU uint64
	// KFENCE is KFENCE's pool.
	KFENCE *KFENCE

	mm      *memoryMap
	parts   []pagePart
	virtual member                // of a struct page
	walked  map[guestmem.GPA]bool // page tables, by MarkTables
	tables  map[guestmem.GVA]bool // those in slabs
}

// pagePart is one range of RAM.
type pagePart struct {
	first PFN
	class []PageClass
}

// PageRange is the half-open range [Start, End) of page frames of one class.
type PageRange struct {
	Start, End PFN
	Class      PageClass
}

// PageSize is the size of a page in bytes.
func (p *Pages) PageSize() uint64 { return p.mm.pageSize }

// Class returns the class of a page; PageUnknown outside RAM.
func (p *Pages) Class(f PFN) PageClass {
	if part := p.part(f); part != nil {
		return part.class[f-part.first]
	}
	return PageUnknown
}

func (p *Pages) part(f PFN) *pagePart {
	for i := range p.parts {
		if part := &p.parts[i]; f >= part.first && uint64(f-part.first) < uint64(len(part.class)) {
			return part
		}
	}
	return nil
}

// Phys returns the physical addresses of a range of frames.
func (p *Pages) Phys(r PageRange) guestmem.Range[guestmem.GPA] {
	return guestmem.Range[guestmem.GPA]{Start: guestmem.GPA(uint64(r.Start) * p.mm.pageSize), End: guestmem.GPA(uint64(r.End) * p.mm.pageSize)}
}

// Virt returns the direct-map addresses of a range of frames.
func (p *Pages) Virt(r PageRange) guestmem.Range[guestmem.GVA] {
	return guestmem.Range[guestmem.GVA]{Start: p.mm.pageAddr(r.Start), End: p.mm.pageAddr(r.End)}
}

// Desc returns where the struct pages of a range of frames are.
func (p *Pages) Desc(r PageRange) guestmem.Range[guestmem.GVA] {
	return guestmem.Range[guestmem.GVA]{Start: p.mm.desc(r.Start), End: p.mm.desc(r.End)}
}

// IsTable says whether an object of a slab cache is a page table that MarkTables
// found: by such objects some kernels have them.
func (p *Pages) IsTable(object guestmem.GVA) bool { return p.tables[object] }

// Names returns the words in the struct pages of a range of frames that have the
// pages' own addresses: they refer to nothing. None in most kernels.
func (p *Pages) Names(r PageRange) []guestmem.Range[guestmem.GVA] {
	if p.virtual.Size == 0 {
		return nil
	}
	out := make([]guestmem.Range[guestmem.GVA], 0, r.End-r.Start)
	for f := r.Start; f < r.End; f++ {
		out = append(out, from(p.mm.desc(f)+guestmem.GVA(p.virtual.Offset), p.virtual.Size))
	}
	return out
}

// Frame returns the frame of a direct-map address that is in RAM.
func (p *Pages) Frame(a guestmem.GVA) (PFN, bool) {
	f, ok := p.mm.frameOf(a)
	return f, ok && p.part(f) != nil
}

// FrameOfDesc returns the frame whose struct page is at d, if it is in RAM.
func (p *Pages) FrameOfDesc(d guestmem.GVA) (PFN, bool) {
	f, ok := p.mm.frame(d)
	return f, ok && p.part(f) != nil
}

// Each calls fn with the ranges of equal class, ascending and as long as they
// can be, until it returns false.
func (p *Pages) Each(fn func(PageRange) bool) {
	for _, part := range p.parts {
		for i := 0; i < len(part.class); {
			j := i + 1
			for j < len(part.class) && part.class[j] == part.class[i] {
				j++
			}
			if !fn(PageRange{part.first + PFN(i), part.first + PFN(j), part.class[i]}) {
				return
			}
			i = j
		}
	}
}

// Count returns how many pages are of a class.
func (p *Pages) Count(c PageClass) uint64 {
	var n uint64
	for _, part := range p.parts {
		for _, x := range part.class {
			if x == c {
				n++
			}
		}
	}
	return n
}

// Pages classifies all of RAM by its page descriptors. That a page is free is
// told by the allocator's own marks and lists and not by its reference count,
// which is zero too in the tail of a non-compound allocation. With an error,
// what it concerns is PageUnknown, or free pages on a CPU's list are taken
// for pages in use.
func (k *Kernel) Pages() (*Pages, error) {
	m, err := k.memoryMap()
	if err != nil {
		return nil, err
	}
	p := &Pages{mm: m, virtual: k.lay.page.virtual}
	types, err := k.pageTypes(m)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, r := range k.ram() {
		first := PFN((uint64(r.Start) + m.pageSize - 1) / m.pageSize)
		end := PFN(min(uint64(r.End)/m.pageSize, m.maxFrames))
		if end <= first {
			continue
		}
		p.parts = append(p.parts, pagePart{first: first, class: make([]PageClass, end-first)})
	}
	for i := range p.parts {
		c := &classifier{k: k, lay: &k.lay.page, pages: p, part: &p.parts[i], types: types}
		if err := c.run(); err != nil {
			errs = append(errs, err)
		}
	}
	if err := k.freeOnCPUs(p); err != nil {
		errs = append(errs, err)
	}
	if p.KFENCE, err = k.KFENCE(); err != nil {
		errs = append(errs, err)
	}
	for at := p.KFENCE.Pool.Start; at < p.KFENCE.Pool.End; at += guestmem.GVA(m.pageSize) {
		if f, ok := m.frameOf(at); ok {
			if part := p.part(f); part != nil {
				part.class[f-part.first] = PageKFENCE
			}
		}
	}
	return p, errors.Join(errs...)
}

// ram returns where RAM is: of what a machine has at several addresses, those
// that the kernel uses, if it keeps account of them.
func (k *Kernel) ram() []guestmem.Range[guestmem.GPA] {
	all := k.phys.RAM()
	if p, ok := k.phys.(guestmem.Aliased); !ok || !p.Aliased() {
		return all
	}
	known, err := k.Memblock()
	if err != nil || len(known.Memory) == 0 {
		return all
	}
	var out []guestmem.Range[guestmem.GPA]
	for _, r := range all {
		for _, m := range known.Memory {
			if start, end := max(r.Start, m.Start), min(r.End, m.End); start < end {
				out = append(out, guestmem.Range[guestmem.GPA]{Start: start, End: end})
			}
		}
	}
	return out
}

// classifier goes through the descriptors of one range of RAM.
type classifier struct {
	k     *Kernel
	lay   *pageLayout
	pages *Pages
	part  *pagePart
	types []pageType
	free  int // pages below are in a buddy block
}

func (c *classifier) run() error {
	m := c.pages.mm
	for i := 0; i < len(c.part.class); {
		left := (len(c.part.class) - i) * int(m.descSize)
		v, err := c.k.mem.View(m.desc(c.part.first+PFN(i)), left)
		if err != nil {
			// No descriptors for what the guest takes for a hole: they come
			// by the page, or larger.
			i += max(1, int(m.pageSize/m.descSize))
			continue
		}
		if len(v) < int(m.descSize) {
			// A descriptor that straddles two pages.
			v = make([]byte, m.descSize)
			if guestmem.Read(c.k.mem, m.desc(c.part.first+PFN(i)), v) != nil {
				i++
				continue
			}
		}
		for len(v) >= int(m.descSize) && i < len(c.part.class) {
			c.page(i, v[:m.descSize])
			v = v[m.descSize:]
			i++
		}
	}
	if c.free > len(c.part.class) {
		return inconsistent("a free block ends behind the RAM that ends at frame %#x", uint64(c.part.first)+uint64(len(c.part.class)))
	}
	return nil
}

// page classifies frame i of the part by its descriptor.
func (c *classifier) page(i int, d []byte) {
	class := &c.part.class[i]
	if i < c.free {
		*class = PageFree
		return
	}
	a, lay := c.k.arch, c.lay
	if head := lay.compound.get(a, d); head&1 != 0 {
		*class = PageKernel
		if f, ok := c.pages.mm.frame(guestmem.GVA(head - 1)); ok && f < c.part.first+PFN(i) {
			if h := c.pages.Class(f); h != PageUnknown && h != PageFree {
				*class = h
			}
		}
		return
	}
	flags := lay.flags.get(a, d)
	if flags&lay.reservedBit != 0 {
		*class = PageReserved
		return
	}
	if flags&lay.slabBit != 0 {
		*class = PageSlab
		return
	}
	typ := uint32(lay.typ.get(a, d))
	for _, t := range c.types {
		if typ&t.mask != t.value {
			continue
		}
		*class = t.class
		if t.class == PageFree {
			order := lay.private.get(a, d)
			if order > maxOrder {
				order = 0
			}
			c.free = i + 1<<order
			c.pages.Buddy += 1 << order
		}
		return
	}
	if lay.mapping.get(a, d) != 0 || flags&(lay.lruBit|lay.swapBit) != 0 {
		*class = PageUser
		return
	}
	*class = PageKernel
}
