package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// pageDescriptors returns where the struct page of frame zero is, or would be.
// With FLATMEM it lowers m.maxFrames to those that have one.
func (k *Kernel) pageDescriptors(m *memoryMap) (guestmem.GVA, error) {
	const what = "the page descriptors"
	if b := k.arch.Linux.Vmemmap; b != nil {
		v, err := k.base(b, what)
		return guestmem.GVA(v), err
	}
	lay := &k.lay.page.mem
	if k.has("mem_section") && lay.sectionMap.Size > 0 {
		return k.sectionMap(m)
	}
	node, ok := k.Addr("contig_page_data") // FLATMEM
	if !ok || lay.nodeMap.Size == 0 {
		return 0, fmt.Errorf("the place of %s: %w", what, ErrUnsupported)
	}
	r := k.at(node)
	first, desc, frames := r.get(lay.nodeStart), r.ptr(lay.nodeMap), r.get(lay.nodeSpan)
	if r.err != nil {
		return 0, fmt.Errorf("%s: %w", what, r.err)
	}
	if desc == 0 {
		return 0, inconsistent("%s of the node are at address zero", what)
	}
	if frames > 0 && frames <= ^first {
		m.maxFrames = min(m.maxFrames, first+frames)
	}
	return guestmem.GVA((uint64(desc) - first*m.descSize) & m.top), nil
}

// memLayout is where a memory model keeps the place of the page descriptors.
type memLayout struct {
	sectionMap         member // mem_section.section_mem_map
	sectionSize        uint64
	flags              uint64 // mask of what else is in section_mem_map
	nodeStart, nodeMap member // pglist_data, FLATMEM only
	nodeSpan           member // frames that nodeMap has, from nodeStart on
}

func newMemLayout(l *layout) memLayout {
	var m memLayout
	if l.info.arch().Linux.Vmemmap != nil {
		return m
	}
	if l.find("mem_section", nearPage...) != nil {
		m.sectionMap, _ = l.opt("mem_section", "section_mem_map")
		m.sectionSize = max(l.size("mem_section"), 1)
	}
	m.nodeMap, _ = l.opt("pglist_data", "node_mem_map")
	m.nodeSpan, _ = l.opt("pglist_data", "node_spanned_pages")
	m.nodeStart, _ = l.opt("pglist_data", "node_start_pfn")
	// SECTION_MAP_LAST_BIT is an enum's constant since 5.19; the bits were
	// five or fewer before (include/linux/mmzone.h).
	bits, ok := l.constant("SECTION_MAP_LAST_BIT", nearPage...)
	if !ok || bits <= 0 || bits > 16 {
		bits = 5
	}
	m.flags = 1<<bits - 1
	return m
}

// sectionMap returns the same of a kernel with SPARSEMEM_VMEMMAP, in which all
// sections name one place for frame zero (mm/sparse.c,
// sparse_encode_mem_map). Without VMEMMAP they differ, which is an error.
func (k *Kernel) sectionMap(m *memoryMap) (guestmem.GVA, error) {
	const (
		hasMemMap = 2       // SECTION_HAS_MEM_MAP
		maxRoots  = 1 << 12 // 2^12 roots of 2^8 sections of 2^24 bytes: 2^44
	)
	lay := &k.lay.page.mem
	sym, _ := k.info.symbol("mem_section")
	table := guestmem.GVA(sym.Addr + k.slide)
	var base uint64
	// row takes n sections.
	row := func(at guestmem.GVA, n uint64) error {
		for i := range n {
			v, err := k.mem.Word(at + guestmem.GVA(i*lay.sectionSize+lay.sectionMap.Offset))
			if err != nil {
				return fmt.Errorf("mem_section: %w", err)
			}
			if v&hasMemMap == 0 {
				continue
			}
			if v &^= lay.flags; base != 0 && v != base {
				return fmt.Errorf("page descriptors without SPARSEMEM_VMEMMAP: %w", ErrUnsupported)
			}
			base = v
		}
		return nil
	}
	w := uint64(k.arch.WordSize)
	if sym.Size != w {
		if err := row(table, sym.Size/lay.sectionSize); err != nil {
			return 0, err
		}
	} else { // SPARSEMEM_EXTREME: a pointer to pointers
		roots, err := k.mem.Pointer(table)
		if err != nil {
			return 0, fmt.Errorf("mem_section: %w", err)
		}
		// How many there are is a macro, but memory begins in one of the first.
		for i := uint64(0); i < maxRoots && base == 0; i++ {
			root, err := k.mem.Pointer(roots + guestmem.GVA(i*w))
			if err != nil {
				return 0, fmt.Errorf("mem_section: %w", err)
			}
			if root == 0 {
				continue
			}
			if err := row(root, k.pageSize()/lay.sectionSize); err != nil {
				return 0, err
			}
		}
	}
	if base == 0 {
		return 0, inconsistent("no section of memory has page descriptors")
	}
	return guestmem.GVA(base & m.top), nil
}
