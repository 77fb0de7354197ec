package symbols

import (
	"debug/elf"
	"fmt"
)

// relocSizes gives, by machine and relocation type, the bytes of the
// relocations that compilers put into debug sections: all of them store the
// symbol's value plus the addend. Numbers are those of each machine's psABI,
// as in include/elf/*.h of binutils. A machine without a row cannot have its
// module files' DWARF read. debug/elf knows fewer machines, and gives all
// sections of a module the address zero.
func relocSizes(m elf.Machine) map[uint32]int {
	switch m {
	case elf.EM_X86_64:
		return map[uint32]int{
			uint32(elf.R_X86_64_64): 8, uint32(elf.R_X86_64_32): 4, uint32(elf.R_X86_64_32S): 4,
		}
	case elf.EM_TILEGX:
		return map[uint32]int{1: 8, 2: 4} // R_TILEGX_64, R_TILEGX_32
	}
	return nil
}

// relocate returns the content b of a debug section with its relocations
// applied, b itself if there are none: only files that are not linked have
// any to apply (a vmlinux may keep those that were applied, with
// --emit-relocs).
func (im *Image) relocate(s *section, b []byte) ([]byte, error) {
	if im.elf.Type != elf.ET_REL {
		return b, nil
	}
	var rel *section
	for i := range im.sections {
		r := &im.sections[i]
		if r.info == s.index && (r.typ == elf.SHT_RELA || r.typ == elf.SHT_REL) {
			rel = r
		}
	}
	if rel == nil {
		return b, nil
	}
	sizes := relocSizes(im.elf.Machine)
	if sizes == nil || rel.typ != elf.SHT_RELA || im.elf.Class != elf.ELFCLASS64 {
		return nil, fmt.Errorf("debug information of module files cannot be relocated for %v yet", im.elf.Machine)
	}
	table, err := im.content(rel)
	if err != nil {
		return nil, err
	}
	if rel.link <= 0 || rel.link >= len(im.sections) || im.sections[rel.link].typ != elf.SHT_SYMTAB {
		return nil, fmt.Errorf("%w: %s has no symbol table", ErrCorrupt, rel.name)
	}
	syms, err := im.content(&im.sections[rel.link])
	if err != nil {
		return nil, err
	}
	order := im.elf.ByteOrder
	out := append([]byte(nil), b...)
	for ; len(table) >= 24; table = table[24:] {
		at, info, addend := order.Uint64(table), order.Uint64(table[8:]), order.Uint64(table[16:])
		typ, sym := uint32(info), info>>32
		if typ == 0 {
			continue // R_*_NONE
		}
		size, ok := sizes[typ]
		if !ok {
			return nil, fmt.Errorf("%s: relocation type %d is not known", rel.name, typ)
		}
		if at > uint64(len(out)) || uint64(size) > uint64(len(out))-at || (sym+1)*24 > uint64(len(syms)) {
			return nil, fmt.Errorf("%w: %s points outside its section", ErrCorrupt, rel.name)
		}
		e := syms[sym*24:]
		value := order.Uint64(e[8:]) + addend
		if shndx := int(order.Uint16(e[6:])); shndx > 0 && shndx < len(im.sections) && im.sections[shndx].flags&elf.SHF_ALLOC != 0 {
			value += im.sections[shndx].addr
		}
		if size == 8 {
			order.PutUint64(out[at:], value)
		} else {
			order.PutUint32(out[at:], uint32(value))
		}
	}
	return out, nil
}
