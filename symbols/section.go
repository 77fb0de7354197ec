package symbols

import (
	"debug/elf"
	"fmt"
	"io"
	"sort"
)

// Bounds on a compressed section: its size in bytes, where the largest debug
// sections of an allyesconfig kernel are some hundred MB, and how much
// smaller it can be in the file, where debug sections come to a tenth.
const (
	maxUnpacked = 2 << 30
	maxRatio    = 1032 // what zlib can do at most
)

// section is one ELF section.
type section struct {
	index  int
	name   string
	typ    elf.SectionType
	flags  elf.SectionFlag
	addr   uint64
	size   uint64 // in memory, uncompressed
	off    uint64
	fsize  uint64 // in the file
	link   int
	info   int
	nobits bool
	from   *section // has the content, in Image.code; nil for the file itself
}

// readSections checks the section table against the file and lays out the
// sections of a relocatable file.
func (im *Image) readSections() error {
	total := uint64(len(im.data))
	next := uint64(0)
	for i, s := range im.elf.Sections {
		sec := section{
			index: i, name: s.Name, typ: s.Type, flags: s.Flags, addr: s.Addr, size: s.Size,
			off: s.Offset, fsize: s.FileSize, link: int(s.Link), info: int(s.Info),
			nobits: s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL,
		}
		if !sec.nobits && (sec.off > total || sec.fsize > total-sec.off) {
			return fmt.Errorf("%w: section %s ends behind the end of the file; fetch or unpack the file again", ErrTruncated, s.Name)
		}
		if sec.flags&elf.SHF_ALLOC != 0 {
			if im.elf.Type == elf.ET_REL {
				align := max(s.Addralign, 1)
				if align > 1<<20 {
					return fmt.Errorf("%w: section %s has the alignment %#x", ErrCorrupt, s.Name, align)
				}
				next = (next + align - 1) / align * align
				sec.addr = next
				next += sec.size
			}
			if sec.addr+sec.size < sec.addr {
				return fmt.Errorf("%w: section %s wraps around the address space", ErrCorrupt, s.Name)
			}
			im.byAddr = append(im.byAddr, i)
		}
		im.sections = append(im.sections, sec)
	}
	sort.SliceStable(im.byAddr, func(a, b int) bool {
		return im.sections[im.byAddr[a]].addr < im.sections[im.byAddr[b]].addr
	})
	return nil
}

// content returns a section's bytes, uncompressed.
func (im *Image) content(s *section) ([]byte, error) {
	if s.nobits {
		return nil, fmt.Errorf("%s: section %s: %w", im.path, s.name, ErrNoContent)
	}
	if s.from != nil {
		return im.code.content(s.from)
	}
	if s.flags&elf.SHF_COMPRESSED == 0 {
		return im.data[s.off : s.off+s.fsize : s.off+s.fsize], nil
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	if b, ok := im.unpacked[s.index]; ok {
		return b, nil
	}
	// s.size is what the compression header promises.
	if s.size > maxUnpacked || s.size > s.fsize*maxRatio {
		return nil, fmt.Errorf("%s: section %s: %w: %d bytes uncompressed", im.path, s.name, ErrCorrupt, s.size)
	}
	b := make([]byte, s.size)
	r := im.elf.Sections[s.index].Open()
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("%s: section %s: %w: %w", im.path, s.name, ErrCorrupt, err)
	}
	if im.unpacked == nil {
		im.unpacked = map[int][]byte{}
	}
	im.unpacked[s.index] = b
	return b, nil
}

// named returns the first section of a name that has content, nil for none.
func (im *Image) named(name string) *section {
	for i := range im.sections {
		if s := &im.sections[i]; s.name == name && !s.nobits {
			return s
		}
	}
	return nil
}

// findBuildID looks for the note of type NT_GNU_BUILD_ID (3) of the owner
// "GNU" in all note sections; the layout of notes is in the gABI, chapter 5.
func (im *Image) findBuildID() []byte {
	for i := range im.sections {
		s := &im.sections[i]
		if s.typ != elf.SHT_NOTE {
			continue
		}
		b, err := im.content(s)
		if err != nil {
			continue
		}
		if id := gnuBuildID(b, im.elf.ByteOrder); id != nil {
			return id
		}
	}
	return nil
}
