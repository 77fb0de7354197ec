package symbols

import (
	"debug/dwarf"
	"fmt"
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
)

// DataAt returns the symbol of the variable that a link address lies in: the
// nearest one before it whose size reaches so far, or else the nearest label.
func (im *Image) DataAt(addr uint64) (Symbol, bool) {
	all := im.syms.all
	last := sort.Search(len(all), func(i int) bool { return all[i].Addr > addr }) - 1
	const back = 256
	label := -1
	for i := last; i >= 0 && i > last-back; i-- {
		s := &all[i]
		switch {
		case s.Func || ignored(s.Name):
		case addr-s.Addr < s.Size:
			return *s, true
		case s.Size == 0 && label < 0:
			label = i
		}
	}
	if label >= 0 {
		return all[label], true
	}
	return Symbol{}, false
}

// DataAt names the variable that an address lies in; a module's per-CPU
// variable has its per-CPU address. Of the kernel's own Size is the symbol's,
// of a module's the distance to the next one.
func (s *Space) DataAt(a guestmem.GVA, seq uint64) (Frame, bool) {
	if link, ok := s.Link(a); ok {
		sym, ok := s.im.DataAt(link)
		return Frame{Symbol: sym.Name, Offset: link - sym.Addr, Size: sym.Size}, ok
	}
	m := s.moduleAt(a, seq)
	if m == nil {
		return Frame{}, false
	}
	name, start, size, ok := m.symbolAt(a)
	return Frame{Symbol: name, Offset: uint64(a) - start, Size: size, Module: m.name}, ok
}

// PerCPUAt names the kernel's static per-CPU variable that is so many bytes
// behind the start of them.
func (s *Space) PerCPUAt(offset uint64) (Frame, bool) {
	start, err := s.im.Symbol("__per_cpu_start")
	if err != nil {
		return Frame{}, false
	}
	sym, ok := s.im.DataAt(start.Addr + offset)
	return Frame{Symbol: sym.Name, Offset: start.Addr + offset - sym.Addr, Size: sym.Size}, ok
}

// VariableType returns the layout of the structure that a variable of the
// kernel is, or is an array of, by its link address and name; nil where it is
// none. It reads all of the debug information the first time.
func (im *Image) VariableType(sym Symbol) (s *Struct, err error) {
	key := fmt.Sprintf("=%#x", sym.Addr)
	list, ok := im.cache.getAssigned(key)
	if !ok {
		if list, err = im.readVariable(sym); err != nil {
			return nil, err
		}
		im.cache.putAssigned(key, list)
	}
	if len(list) == 0 || list[0].Layout == "" {
		return nil, nil
	}
	return im.layout(list[0].Layout, list[0].Type)
}

func (im *Image) readVariable(sym Symbol) (out []assignment, err error) {
	defer guard(im.path, &err)()
	di, err := im.debug()
	if err != nil {
		return nil, err
	}
	vars, err := di.variables()
	if err != nil {
		return nil, err
	}
	off, ok := vars[sym.Addr]
	if !ok {
		return nil, nil
	}
	t := di.newTypeReader()
	d, err := t.describe(off, 0)
	if err != nil || d.agg == 0 {
		return nil, err
	}
	a := assignment{Variable: sym.Name}
	if err := di.target(t, d.agg, &a); err != nil || a.Layout == "" {
		return nil, err
	}
	return []assignment{a}, nil
}

// variables lists the types of the variables with an address of their own,
// by that.
func (di *debugInfo) variables() (map[uint64]dwarf.Offset, error) {
	di.varsOnce.Do(func() {
		const workers = 2
		parts := [workers]map[uint64]dwarf.Offset{{}, {}}
		di.varsErr = di.eachUnit(workers, func(w int, u unit) error {
			return di.topLevel(u, func(_ *entries, e *dwarf.Entry) (bool, error) {
				if e.Tag != dwarf.TagVariable {
					return false, nil
				}
				if addr, ok := di.address(e); ok {
					if typ, ok := di.typeOf(e); ok {
						parts[w][addr] = typ
					}
				}
				return false, nil
			})
		})
		di.vars = parts[0]
		for addr, typ := range parts[1] {
			di.vars[addr] = typ
		}
	})
	return di.vars, di.varsErr
}

// address reads a location that is DW_OP_addr and nothing else.
func (di *debugInfo) address(e *dwarf.Entry) (uint64, bool) {
	const opAddr = 0x03
	expr, _ := e.Val(dwarf.AttrLocation).([]byte)
	word := di.im.arch.WordSize
	if len(expr) != 1+word || expr[0] != opAddr {
		return 0, false
	}
	c := cursor{order: di.im.elf.ByteOrder, b: expr[1:]}
	return c.uint(uint64(word)), true
}

// typeOf returns a variable's type, which its declaration may have.
func (di *debugInfo) typeOf(e *dwarf.Entry) (dwarf.Offset, bool) {
	if typ, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
		return typ, true
	}
	spec, ok := e.Val(dwarf.AttrSpecification).(dwarf.Offset)
	if !ok {
		return 0, false
	}
	decl, err := di.someEntries(1).at(spec)
	if err != nil {
		return 0, false
	}
	typ, ok := decl.Val(dwarf.AttrType).(dwarf.Offset)
	return typ, ok
}
