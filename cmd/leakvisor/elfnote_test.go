package main

import (
	"bytes"
	"debug/elf"
	"errors"
)

// buildIDOffset returns where in an ELF file the GNU build ID is.
func buildIDOffset(name string) (int64, error) {
	f, err := elf.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE {
			continue
		}
		b, err := s.Data()
		if err != nil {
			return 0, err
		}
		// Name size 4, content size 20, type NT_GNU_BUILD_ID, name "GNU".
		note := []byte{4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0}
		if i := bytes.Index(b, note); i >= 0 {
			return int64(s.Offset) + int64(i+len(note)), nil
		}
	}
	return 0, errors.New("no build ID")
}
