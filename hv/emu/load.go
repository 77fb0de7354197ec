package emu

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// loadELF copies a guest to its physical addresses, and returns that of its
// entry.
func loadELF(b *Bus, a *arch.Arch, r io.ReaderAt) (entry uint64, err error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return 0, fmt.Errorf("emu: the guest is no ELF file: %w", err)
	}
	if arch.ELFOf(f.FileHeader) != a.ELF {
		return 0, fmt.Errorf("emu: the guest is for %s %s %s, not for %s", f.Machine, f.Class, f.Data, a.Name)
	}
	entry = f.Entry
	loaded := false
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Memsz == 0 {
			continue
		}
		if p.Filesz > p.Memsz || p.Memsz > uint64(len(b.data)) {
			return 0, fmt.Errorf("emu: a segment of %d bytes does not fit into RAM", p.Memsz)
		}
		m, ok := b.bytes(guestmem.GPA(p.Paddr), int(p.Memsz))
		if !ok {
			return 0, fmt.Errorf("emu: the segment at %#x of %d bytes is not in RAM, which has %d bytes from %#x on", p.Paddr, p.Memsz, len(b.data), uint64(b.base))
		}
		if _, err := io.ReadFull(p.Open(), m[:p.Filesz]); err != nil {
			return 0, fmt.Errorf("emu: reading the guest: %w", err)
		}
		if off := f.Entry - p.Vaddr; off < p.Memsz {
			entry = p.Paddr + off
		}
		loaded = true
	}
	if !loaded {
		return 0, errors.New("emu: the guest has nothing to load")
	}
	return entry, nil
}
