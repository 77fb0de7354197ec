package guestmem

import (
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
)

// AddressSpace is virtual memory translated by Linux's page tables. It keeps
// no translations: each View walks the tables as they are. Safe for
// concurrent use while nobody changes the guest.
type AddressSpace struct {
	phys   Physical
	arch   *arch.Arch
	root   GPA
	levels []arch.Level
	sign   uint // virtual address bits, for the canonical check
	off    bool // addresses are physical
}

var _ Memory = (*AddressSpace)(nil)

// NewAddressSpace returns the address space of the page tables at root,
// without the optional extra level.
func NewAddressSpace(phys Physical, a *arch.Arch, root GPA) (*AddressSpace, error) {
	if a.Paging == nil {
		return nil, fmt.Errorf("no page tables are known for %s", a.Name)
	}
	s := &AddressSpace{phys: phys, arch: a, root: root, sign: a.Paging.VABits}
	for _, l := range a.Paging.Levels {
		s.levels = append(s.levels, a.Paging.Resolve(l))
	}
	return s, nil
}

// FromRegisters returns the address space in use by a vCPU with these
// registers (by arch.Reg name). Where no register has the tables it is what
// can be told without.
func FromRegisters(phys Physical, a *arch.Arch, regs map[string]uint64) (*AddressSpace, error) {
	if a.Paging == nil {
		return nil, fmt.Errorf("no page tables are known for %s", a.Name)
	}
	root, ok := regs[a.Paging.RootRegister]
	if !ok && a.Paging.RootRegister != "" {
		return nil, fmt.Errorf("register %s is missing", a.Paging.RootRegister)
	}
	s, err := NewAddressSpace(phys, a, GPA(root&a.Paging.RootMask()))
	if err != nil {
		return nil, err
	}
	s.off = a.Paging.Off.In(regs)
	if x := a.Paging.Extra; x != nil && regs[a.Paging.ExtraRegister]&a.Paging.ExtraMask != 0 {
		s.levels = append([]arch.Level{a.Paging.Resolve(*x)}, s.levels...)
		s.sign = x.Shift + x.Bits
	}
	return s, nil
}

// WithRoot returns the same address space with other tables.
func (s *AddressSpace) WithRoot(root GPA) *AddressSpace {
	c := *s
	c.root, c.off = root, false
	return &c
}

// WithLinearEnd returns the same address space with an earlier end of what is
// mapped without tables (arch.Paging.LinearEnd).
func (s *AddressSpace) WithLinearEnd(end GVA) *AddressSpace {
	c := *s
	c.arch = s.arch.WithPaging(func(p *arch.Paging) {
		for i := range p.Linear {
			l := &p.Linear[i]
			l.End = min(l.End, max(l.Start, uint64(end)))
		}
	})
	return &c
}

// WithPhysical returns the same address space over other memory, a Snapshot
// of this one's.
func (s *AddressSpace) WithPhysical(phys Physical) *AddressSpace {
	c := *s
	c.phys = phys
	return &c
}

// Physical returns the memory below.
func (s *AddressSpace) Physical() Physical { return s.phys }

// PhysicalWindow is where the address spaces of 32-bit guests have, beyond all
// that such a guest can name, its physical memory: high memory is mapped
// nowhere else.
const PhysicalWindow GVA = 1 << 32

// Translate returns the physical address of gva and how many bytes from
// there on the same table entry maps.
func (s *AddressSpace) Translate(gva GVA) (GPA, uint64, error) {
	p := s.arch.Paging
	if s.arch.WordSize == 4 && gva >= PhysicalWindow {
		size := uint64(1) << p.PageShift
		return GPA(gva - PhysicalWindow), size - uint64(gva)%size, nil
	}
	if s.off {
		size := uint64(1) << p.PageShift
		return GPA(gva), size - uint64(gva)%size, nil
	}
	if phys, ok := p.Direct(uint64(gva)); ok {
		size := uint64(1) << p.PageShift
		return GPA(phys), size - uint64(gva)%size, nil
	}
	if len(s.levels) > 0 && s.root == 0 && p.RootRegister == "" {
		return 0, 0, &AddressError{Addr: uint64(gva), Reason: "the page tables are not known yet"}
	}
	if !p.Canonical && s.sign > 0 && s.sign < 64 && !p.Kernels(uint64(gva)>>s.sign) {
		return 0, 0, &AddressError{Addr: uint64(gva), Reason: "not an address of the kernel"}
	}
	if p.Canonical && s.sign < 64 {
		if ext := int64(gva) >> (s.sign - 1); ext != 0 && ext != -1 {
			return 0, 0, &AddressError{Addr: uint64(gva), Reason: "not canonical"}
		}
	}
	table := s.root
	larger := uint(0) // of the pages of this table
	for i, l := range s.levels {
		l = enlarge(l, larger)
		index := uint64(gva) >> l.Shift & (1<<l.Bits - 1)
		at := table + GPA(index*uint64(l.EntrySize))
		b, err := s.phys.ViewPhys(at, l.EntrySize)
		if err != nil || len(b) < l.EntrySize {
			return 0, 0, &AddressError{Addr: uint64(gva), Reason: fmt.Sprintf("%s table at %#x lies outside the guest's RAM", l.Name, uint64(table))}
		}
		e := p.Entry(s.arch, b)
		size := uint64(1) << l.Shift
		off := uint64(gva) & (size - 1)
		if l.Absent.Holds(e) {
			return 0, 0, &AddressError{Addr: uint64(gva), Reason: l.Name + " entry is not present", Hole: size - off}
		}
		frame, ok := p.Address(l, e)
		if !ok {
			return 0, 0, &AddressError{Addr: uint64(gva), Reason: l.Name + " entry has an impossible address", Hole: size - off}
		}
		if i == len(s.levels)-1 || l.Leaf.Holds(e) {
			return GPA(frame&^(size-1) + off), size - off, nil
		}
		table, larger = GPA(frame), uint(l.Larger.Of(e))
	}
	return 0, 0, &AddressError{Addr: uint64(gva), Reason: "no page tables"}
}

// enlarge is a level whose pages are so many powers of two larger.
func enlarge(l arch.Level, by uint) arch.Level {
	by = min(by, l.Bits)
	l.Shift, l.Bits = l.Shift+by, l.Bits-by
	return l
}

// View implements Memory: at most the rest of the page (of any size) that
// maps gva.
func (s *AddressSpace) View(gva GVA, n int) ([]byte, error) {
	gpa, left, err := s.Translate(gva)
	if err != nil {
		return nil, err
	}
	if uint64(n) > left {
		n = int(left)
	}
	b, err := s.phys.ViewPhys(gpa, n)
	if err != nil {
		return nil, &AddressError{Addr: uint64(gva), Reason: err.Error()}
	}
	return b, nil
}
