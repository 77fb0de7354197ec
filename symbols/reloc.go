package symbols

import (
	"debug/elf"
	"fmt"
)

// relocate returns the content b of a debug section with its relocations
// applied, b itself if there are none: only files that are not linked have
// any to apply (a vmlinux may keep those that were applied, with
// --emit-relocs). debug/elf would do it for fewer machines, and gives all
// sections of a module the address zero.
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
	out := append([]byte(nil), b...)
	for entry := im.relocSize(rel.typ); uint64(len(table)) >= entry; table = table[entry:] {
		r := im.relocation(table[:entry], rel.typ)
		if r.typ == 0 {
			continue // R_*_NONE
		}
		size, ok := im.arch.Relocs.Sizes[r.typ]
		if !ok {
			return nil, fmt.Errorf("%s: relocation type %d is not known", rel.name, r.typ)
		}
		value, ok := im.symbolValue(syms, r.sym)
		if !ok || r.at > uint64(len(out)) || uint64(size) > uint64(len(out))-r.at {
			return nil, fmt.Errorf("%w: %s points outside its section", ErrCorrupt, rel.name)
		}
		field := out[r.at : r.at+uint64(size)]
		if rel.typ == elf.SHT_REL {
			r.addend = im.arch.Uint(field)
		}
		if value += r.addend; size == 8 {
			im.elf.ByteOrder.PutUint64(field, value)
		} else {
			im.elf.ByteOrder.PutUint32(field, uint32(value))
		}
	}
	return out, nil
}

// relocation is an entry of a table of relocations.
type relocation struct {
	at, sym, addend uint64
	typ             uint32
}

// relocSize returns the size of an entry of such a table, in bytes.
func (im *Image) relocSize(typ elf.SectionType) uint64 {
	words := uint64(2)
	if typ == elf.SHT_RELA {
		words = 3
	}
	if im.elf.Class == elf.ELFCLASS64 {
		return 8 * words
	}
	return 4 * words
}

// relocation reads an entry.
func (im *Image) relocation(b []byte, typ elf.SectionType) relocation {
	order := im.elf.ByteOrder
	if im.elf.Class == elf.ELFCLASS32 {
		info := order.Uint32(b[4:])
		r := relocation{at: uint64(order.Uint32(b)), sym: uint64(info >> 8), typ: info & 0xff}
		if typ == elf.SHT_RELA {
			r.addend = uint64(int64(int32(order.Uint32(b[8:]))))
		}
		return r
	}
	info := order.Uint64(b[8:])
	r := relocation{at: order.Uint64(b), sym: info >> 32, typ: uint32(info)}
	if im.arch.Relocs.InParts {
		r.sym, r.typ = uint64(order.Uint32(b[8:])), uint32(b[15])
	}
	if typ == elf.SHT_RELA {
		r.addend = order.Uint64(b[16:])
	}
	return r
}

// symbolValue returns a symbol's value in the image's addresses; syms is the
// content of the symbol table.
func (im *Image) symbolValue(syms []byte, n uint64) (uint64, bool) {
	order := im.elf.ByteOrder
	size, at, index := uint64(24), uint64(8), uint64(6)
	if im.elf.Class == elf.ELFCLASS32 {
		size, at, index = 16, 4, 14
	}
	if n >= uint64(len(syms))/size {
		return 0, false
	}
	e := syms[n*size:]
	value := uint64(order.Uint32(e[at:]))
	if size == 24 {
		value = order.Uint64(e[at:])
	}
	if shndx := int(order.Uint16(e[index:])); shndx > 0 && shndx < len(im.sections) && im.sections[shndx].flags&elf.SHF_ALLOC != 0 {
		value += im.sections[shndx].addr
	}
	return value, true
}
