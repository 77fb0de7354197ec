package symbols

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Module is a loaded module, as the guest's memory and perhaps a file tell.
type Module struct {
	Name string
	// Ranges are its text and data. The first one's start is the base by
	// which RemoveModule knows it.
	Ranges []guestmem.Range[guestmem.GVA]
	// Symbols have run-time addresses, in the order of the module's own
	// table; of several at one address the kernel shows the first.
	Symbols []Symbol
	// ORCIP and ORC are the contents of .orc_unwind_ip and .orc_unwind, in
	// memory (relocated), ORCIPAddr the address of the first. Empty: none.
	ORCIP, ORC []byte
	ORCIPAddr  guestmem.GVA
	// EH are its unwind tables by ARM's exception handling ABI, at run-time
	// addresses.
	EH []*EHTable
	// Code is what of its code was read, for architectures whose frames are
	// known by the code alone.
	Code []ModuleCode
	// Image is the module's file with debug information; nil without one. It
	// must stay open as long as the Space is in use.
	Image *Image
}

// ModuleCode is a part of a module's code.
type ModuleCode struct {
	Addr  guestmem.GVA
	Bytes []byte
}

// module is a Module with its life.
type module struct {
	name     string
	ranges   []guestmem.Range[guestmem.GVA]
	symbols  []Symbol // by address
	orc      *orcTable
	eh       []*EHTable
	image    *Image
	code     []ModuleCode
	frames   map[uint64]codeFrame // by run-time address
	from, to uint64               // event numbers [from, to)
}

const forever = ^uint64(0)

// AddModule tells that a module is there from event number seq on. A module
// whose unwind tables cannot be read is an error, but added without them; one
// without an address range is not.
func (s *Space) AddModule(in Module, seq uint64) error {
	if len(in.Ranges) == 0 {
		return fmt.Errorf("module %s: no address ranges: %w", in.Name, ErrNotFound)
	}
	m := &module{name: in.Name, image: in.Image, eh: in.EH, code: in.Code, from: seq, to: forever}
	for _, r := range in.Ranges {
		if r.Size() > 0 {
			m.ranges = append(m.ranges, r)
		}
	}
	base := in.Ranges[0].Start
	if len(m.ranges) == 0 || m.ranges[0].Start != base {
		return fmt.Errorf("module %s: its first address range is empty: %w", in.Name, ErrNotFound)
	}
	for _, sym := range in.Symbols {
		if sym.Name != "" && !ignored(sym.Name) {
			m.symbols = append(m.symbols, sym)
		}
	}
	slices.SortStableFunc(m.symbols, func(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	orc, err := s.orcTables(&in)
	m.orc = orc
	s.modules = append(s.modules, m)
	return err
}

// RemoveModule tells that from event number seq on the module of that name
// and base is gone. It stays known for what happened before. It says whether
// there was such a module.
func (s *Space) RemoveModule(name string, base guestmem.GVA, seq uint64) bool {
	for _, m := range slices.Backward(s.modules) {
		if m.name == name && m.ranges[0].Start == base && m.to == forever {
			m.to = seq
			return true
		}
	}
	return false
}

// moduleAt returns the module that had the address at event number seq, nil
// for none. Of two, the one that came later wins: initialization code is
// given up without a word, and its place used again.
func (s *Space) moduleAt(a guestmem.GVA, seq uint64) *module {
	for i := len(s.modules) - 1; i >= 0; i-- {
		m := s.modules[i]
		if seq < m.from || seq >= m.to {
			continue
		}
		for _, r := range m.ranges {
			if r.Contains(a) {
				return m
			}
		}
	}
	return nil
}

// sameRange says whether one part of the module's memory has both addresses.
func (m *module) sameRange(a, b guestmem.GVA) bool {
	for _, r := range m.ranges {
		if r.Contains(a) {
			return r.Contains(b)
		}
	}
	return false
}

// symbolAt returns the symbol at or before an address of the module, in the
// same range, and its size in the kernel's sense (kernel/module/kallsyms.c,
// find_kallsyms_symbol): the distance to the next one or the range's end.
func (m *module) symbolAt(a guestmem.GVA) (name string, start, size uint64, ok bool) {
	next := sort.Search(len(m.symbols), func(i int) bool { return m.symbols[i].Addr > uint64(a) })
	if next == 0 {
		return "", 0, 0, false
	}
	i := next - 1
	for i > 0 && m.symbols[i-1].Addr == m.symbols[i].Addr {
		i--
	}
	sym := m.symbols[i]
	for _, r := range m.ranges {
		if !r.Contains(a) {
			continue
		}
		if !r.Contains(guestmem.GVA(sym.Addr)) {
			break
		}
		end := uint64(r.End)
		if next < len(m.symbols) {
			end = min(end, m.symbols[next].Addr)
		}
		return sym.Name, sym.Addr, end - sym.Addr, true
	}
	return "", 0, 0, false
}
