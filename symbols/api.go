package symbols

import (
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// ErrNotFound is wrapped by errors about a name that is not there.
var ErrNotFound = errors.New("not found")

// Errors about a symbol file; each is wrapped with the file's name and what
// to do about it.
var (
	// ErrNotELF is about a file that is no ELF file at all.
	ErrNotELF = errors.New("not an ELF file")
	// ErrTruncated is about a file whose end is missing.
	ErrTruncated = errors.New("file is truncated")
	// ErrCorrupt is about a file that contradicts itself.
	ErrCorrupt = errors.New("file is corrupt")
	// ErrNoSymbols is about a file without a symbol table.
	ErrNoSymbols = errors.New("no symbol table")
	// ErrNoDebugInfo is about a file without DWARF.
	ErrNoDebugInfo = errors.New("no debug information")
	// ErrNoContent is about an address that has no bytes in the file.
	ErrNoContent = errors.New("no content in the file")
	// ErrUnknownArch is about an ELF file of an architecture that has no row.
	ErrUnknownArch = errors.New("unknown architecture")
)

// AmbiguousError says that a name stands for several things. It is an error
// to pick one by chance.
type AmbiguousError struct {
	Name string
	// Addrs are the link addresses of the symbols; nil for types.
	Addrs []uint64
	// What says more about types, for example "sizes 24 and 40".
	What string
}

func (e *AmbiguousError) Error() string {
	if e.What != "" {
		return fmt.Sprintf("%s is ambiguous: %s", e.Name, e.What)
	}
	return fmt.Sprintf("%s is ambiguous: symbols at %#x", e.Name, e.Addrs)
}

// Symbol is one entry of the symbol table.
type Symbol struct {
	Name string
	Addr uint64 // link address
	Size uint64 // bytes; zero for assembly labels and section symbols
	Func bool   // STT_FUNC
	// Local is how many bytes behind Addr local callers enter, where the
	// architecture has such an entry.
	Local uint64
}

// Range is a half-open range of link addresses.
type Range = guestmem.Range[uint64]

// Func is a function with all its code.
type Func struct {
	Name string // as asked for
	// Entries are the addresses at which it is called: the function and its
	// clones (.isra.N, .constprop.N, .part.N).
	Entries []Symbol
	// Cold are the parts that were split off and are only jumped to (.cold).
	Cold []Symbol
}

// Field is a member of a structure, found by a path.
type Field struct {
	Offset uint64 // bytes from the start of the outermost structure
	Size   uint64 // bytes
	// BitOffset and BitSize are for bit fields; BitSize is zero for others.
	// The value is the unsigned integer of Size bytes (1, 2, 4 or 8) at
	// Offset, read in the guest's byte order, shifted right by BitOffset and
	// cut to BitSize bits: this holds in both byte orders.
	BitOffset, BitSize uint64
	// Count is the number of elements of an array member, along its first
	// dimension; zero for others and for flexible arrays.
	Count uint64
	// Type is the member's type name as C writes it, for example "struct
	// list_head" or "void *".
	Type string
}

// Bits cuts a bit field out of the integer that was read at Offset; other
// fields are returned as they are.
func (f Field) Bits(v uint64) uint64 {
	if f.BitSize == 0 {
		return v
	}
	v >>= f.BitOffset
	if f.BitSize >= 64 {
		return v
	}
	return v & (1<<f.BitSize - 1)
}
