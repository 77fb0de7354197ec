package arch

import "slices"

// Build tells of a kernel how it was built: of types, as the functions near see
// them.
type Build interface {
	// Constant returns the value of an enumeration's constant.
	Constant(name string, near ...string) (value int64, ok bool)
	// Member returns the size of a member of a structure or union, in bytes.
	Member(structure, path string, near ...string) (size uint64, ok bool)
	// Size returns a variable's size, in bytes.
	Size(symbol string) (size uint64, ok bool)
	// Content returns a symbol's link address, and so many bytes of the kernel
	// from there on.
	Content(symbol string, n int) (addr uint64, b []byte, ok bool)
}

// LongEntries says whether page table entries have 64 bits: what protects a page
// has as many as an entry (pgprot_t).
func LongEntries(b Build) bool {
	size, ok := b.Member("vm_area_struct", "vm_page_prot", "handle_mm_fault")
	return ok && size == 8
}

// WithPaging returns a copy of the row with other page tables: change is given a
// copy of its own.
func (a *Arch) WithPaging(change func(*Paging)) *Arch {
	adapted, p := *a, *a.Paging
	p.Levels, p.Linear = slices.Clone(p.Levels), slices.Clone(p.Linear)
	change(&p)
	adapted.Paging = &p
	return &adapted
}
