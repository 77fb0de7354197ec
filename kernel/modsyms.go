package kernel

import (
	"bytes"
	"debug/elf"
	"fmt"
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// Bounds for a module's tables.
const (
	maxModuleSyms   = 1 << 20
	maxModuleStrtab = 64 << 20
	maxSections     = 1 << 16
	maxSectionName  = 256
)

// ModuleSymbols returns the module's own symbol table, as the kernel keeps it
// for kallsyms: while the module is coming, all symbols of its file; later
// those of what has not been freed. Addresses are the running kernel's, the
// order is theirs. With an error it returns those that it could read.
func (k *Kernel) ModuleSymbols(m *Module) ([]symbols.Symbol, error) {
	lay := &k.lay.module
	if lay.kallsyms.Size == 0 {
		return nil, fmt.Errorf("module symbol tables: %w", ErrUnsupported)
	}
	r := k.at(m.Addr)
	table := &record{k: k, base: r.ptr(lay.kallsyms), err: r.err}
	symtab, num, strtab := table.ptr(lay.symtab), table.get(lay.num), table.ptr(lay.strtab)
	if table.err != nil {
		return nil, fmt.Errorf("symbols of module %q: %w", m.Name, table.err)
	}
	if num == 0 {
		return nil, nil
	}
	if num > maxModuleSyms {
		return nil, inconsistent("module %q has %d symbols", m.Name, num)
	}
	b := make([]byte, num*elfSymSize(k.arch.WordSize))
	if err := guestmem.Read(k.mem, symtab, b); err != nil {
		return nil, fmt.Errorf("symbols of module %q: %w", m.Name, err)
	}
	names := k.moduleStrtab(m, strtab)
	var out []symbols.Symbol
	var bad error
	for i := uint64(1); i < num; i++ {
		s := k.elfSym(b[i*elfSymSize(k.arch.WordSize):])
		if s.shndx == uint16(elf.SHN_UNDEF) {
			continue
		}
		if uint64(s.name) >= uint64(len(names)) {
			bad = inconsistent("symbol %d of module %q has its name at %#x", i, m.Name, s.name)
			continue
		}
		name := text(names[s.name:])
		if ignoredSymbol(name) {
			continue
		}
		typ := elf.ST_TYPE(s.info)
		isFunc := typ == elf.STT_FUNC
		if !lay.typetab { // until 5.1 add_kallsyms puts nm's letter there
			isFunc = s.info|0x20 == 't'
		} else if typ == elf.STT_SECTION || typ == elf.STT_FILE {
			continue
		}
		if !m.Contains(guestmem.GVA(s.value)) && s.value-m.PerCPU >= m.PerCPUSize {
			continue // absolute, or of a section that was not loaded
		}
		out = append(out, symbols.Symbol{Name: name, Addr: s.value, Size: s.size, Func: isFunc})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Addr < out[j].Addr })
	return out, bad
}

// ignoredSymbol says whether a name is a mark for tools (is_mapping_symbol,
// include/linux/module_symbol.h).
func ignoredSymbol(name string) bool {
	return name == "" || name[0] == '$' || len(name) > 1 && name[0] == '.' && name[1] == 'L' || name[0] == 'L' && len(name) > 1 && name[1] == '0'
}

type elfSym struct {
	name  uint32
	info  byte
	shndx uint16
	value uint64
	size  uint64
}

func elfSymSize(word int) uint64 {
	if word == 4 {
		return elf.Sym32Size
	}
	return elf.Sym64Size
}

// elfSym decodes an Elf32_Sym or Elf64_Sym.
func (k *Kernel) elfSym(b []byte) elfSym {
	o := k.arch.Order
	if k.arch.WordSize == 4 {
		return elfSym{o.Uint32(b), b[12], o.Uint16(b[14:]), uint64(o.Uint32(b[4:])), uint64(o.Uint32(b[8:]))}
	}
	return elfSym{o.Uint32(b), b[4], o.Uint16(b[6:]), o.Uint64(b[8:]), o.Uint64(b[16:])}
}

// moduleStrtab reads the string table at strtab. Its length is not kept: it
// ends with the part of the module that it lies in, or at the first byte
// that cannot be read.
func (k *Kernel) moduleStrtab(m *Module, strtab guestmem.GVA) []byte {
	limit := uint64(maxModuleStrtab)
	for _, p := range m.Mem {
		if p.Range.Contains(strtab) {
			limit = min(limit, uint64(p.Range.End-strtab))
		}
	}
	return k.readSome(strtab, limit)
}

// readSome reads up to n bytes, as far as there is memory.
func (k *Kernel) readSome(at guestmem.GVA, n uint64) []byte {
	var out []byte
	for uint64(len(out)) < n {
		v, err := k.mem.View(at+guestmem.GVA(len(out)), int(n-uint64(len(out))))
		if err != nil || len(v) == 0 {
			break
		}
		out = append(out, v...)
	}
	return out
}

// Section is one section of a loaded module.
type Section struct {
	Name string
	Addr guestmem.GVA
}

// sectLayout is how the kernel keeps sections for
// /sys/module/NAME/sections: as attributes with an address each (with
// nsections, up to 6.13), or as an array of pointers to bin_attributes, ended
// by NULL, whose private is the address (6.14).
type sectLayout struct {
	attrs            member // module.sect_attrs
	n                member // module_sect_attrs.nsections
	first            member // module_sect_attrs.attrs
	stride           uint64
	name, addr       member
	ptrs             member // module_sect_attrs.grp.bin_attrs
	binName, binAddr member
}

func newSectLayout(l *layout) sectLayout {
	var s sectLayout
	var ok bool
	if s.attrs, ok = l.opt("module", "sect_attrs"); !ok {
		return s // no CONFIG_SYSFS or CONFIG_KALLSYMS
	}
	near := []string{"mod_sysfs_setup", "load_module"}
	if l.find("module_sect_attrs", near...) == nil {
		return s
	}
	if s.n, ok = l.opt("module_sect_attrs", "nsections"); ok {
		l.find("module_sect_attr", near...)
		s.first = l.need("module_sect_attrs", "attrs")
		s.stride = l.size("module_sect_attr")
		s.name = l.need("module_sect_attr", "battr.attr.name", "name")
		s.addr = l.need("module_sect_attr", "address")
		return s
	}
	l.find("bin_attribute", near...)
	s.ptrs, _ = l.opt("module_sect_attrs", "grp.bin_attrs_new", "grp.bin_attrs")
	s.binName, _ = l.opt("bin_attribute", "attr.name")
	s.binAddr, _ = l.opt("bin_attribute", "private")
	return s
}

// ModuleSections returns the sections of a module with their addresses, nil
// where the kernel does not keep them. With an error it returns those that it
// could read.
func (k *Kernel) ModuleSections(m *Module) ([]Section, error) {
	lay := &k.lay.module.sects
	r := k.at(m.Addr)
	base := r.ptr(lay.attrs)
	if r.err != nil {
		return nil, fmt.Errorf("sections of module %q: %w", m.Name, r.err)
	}
	if base == 0 {
		return nil, nil
	}
	attrs := k.at(base)
	var out []Section
	add := func(r *record, name, addr member) error {
		p, a := r.ptr(name), r.ptr(addr)
		if r.err != nil {
			return fmt.Errorf("sections of module %q: %w", m.Name, r.err)
		}
		s, err := k.mem.CString(p, maxSectionName)
		if err != nil {
			return fmt.Errorf("sections of module %q: %w", m.Name, err)
		}
		out = append(out, Section{Name: s, Addr: a})
		return nil
	}
	if lay.n.Size > 0 {
		n := attrs.get(lay.n)
		if attrs.err != nil {
			return nil, fmt.Errorf("sections of module %q: %w", m.Name, attrs.err)
		}
		if n > maxSections {
			return nil, inconsistent("module %q has %d sections", m.Name, n)
		}
		for i := range n {
			if err := add(k.at(attrs.addr(lay.first)+guestmem.GVA(i*lay.stride)), lay.name, lay.addr); err != nil {
				return out, err
			}
		}
		return out, nil
	}
	if lay.ptrs.Size == 0 || lay.binAddr.Size == 0 {
		return nil, nil
	}
	list := attrs.ptr(lay.ptrs)
	if attrs.err != nil {
		return nil, fmt.Errorf("sections of module %q: %w", m.Name, attrs.err)
	}
	for i := range maxSections {
		p, err := k.mem.Pointer(list + guestmem.GVA(i*k.arch.WordSize))
		if err != nil {
			return out, fmt.Errorf("sections of module %q: %w", m.Name, err)
		}
		if p == 0 {
			return out, nil
		}
		if err := add(k.at(p), lay.binName, lay.binAddr); err != nil {
			return out, err
		}
	}
	return out, inconsistent("module %q has too many sections", m.Name)
}

// note finds the GNU build ID in a range of ELF notes.
func (k *Kernel) note(r guestmem.Range[guestmem.GVA]) ([]byte, error) {
	b := k.readSome(r.Start, min(r.Size(), 1<<16))
	for len(b) >= 12 {
		nameLen := uint64(k.arch.Order.Uint32(b))
		descLen := uint64(k.arch.Order.Uint32(b[4:]))
		typ := k.arch.Order.Uint32(b[8:])
		desc := 12 + roundUp(nameLen, 4)
		end := desc + roundUp(descLen, 4)
		if nameLen > 256 || end > uint64(len(b)) {
			break
		}
		const ntGNUBuildID = 3 // elf.h
		if typ == ntGNUBuildID && bytes.Equal(b[12:12+nameLen], []byte("GNU\x00")) && descLen > 0 && descLen <= 64 {
			return bytes.Clone(b[desc : desc+descLen]), nil
		}
		b = b[end:]
	}
	return nil, inconsistent("no build ID in the notes at %#x", uint64(r.Start))
}
