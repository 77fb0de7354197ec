package arch

import (
	"encoding/binary"
	"slices"
)

// Paging describes Linux's page tables as rows, the outermost level first.
// It is what the kernel builds (from swapper_pg_dir), not what the MMU has:
// soft TLBs and hashed MMUs then become the same rows.
type Paging struct {
	// PageShift is log2 of the page size.
	PageShift uint
	// EntrySize is the size of a table entry in bytes.
	EntrySize int
	// VABits is the number of virtual address bits that are translated with
	// all Levels; Canonical says that the bits above must equal the topmost.
	VABits    uint
	Canonical bool
	// Levels are the tables from the root down to the pages.
	Levels []Level
	// High is what an address can have from bit VABits up, without Canonical:
	// all bits where users have tables of their own; nil for zero.
	High []uint64
	// Order is the entries' byte order, nil for the architecture's.
	Order binary.ByteOrder
	// Linear are the places where physical memory is mapped without any
	// tables.
	Linear []Segment
	// LinearEnd is the symbol of a variable with the first address behind
	// Linear, which is then at most there; empty where that is fixed. As long
	// as it is zero, the boot has not come to making other mappings.
	LinearEnd string
	// Absent makes an entry map nothing.
	Absent Match
	// Frame is the mask of the physical address in an entry.
	Frame uint64
	// RootSymbols are the symbols of the kernel's root table, tried in order.
	RootSymbols []string
	// MoreRoots are symbols of further tables, whose parts nothing else names.
	MoreRoots []string
	// RootRegister is the register which holds the running root's physical
	// address, empty where there is none. RootFrame is the mask of that; zero
	// where it is Frame.
	RootRegister string
	RootFrame    uint64
	// TaskTables says that the tables of tasks (mm_struct.pgd) have the
	// kernel's layout.
	TaskTables bool
	// UserRoot is where, in bytes behind the kernel's root table, the root lies
	// that user mode runs with, in kernels that have the symbol UserRootSymbol;
	// zero where there is none.
	UserRoot       uint64
	UserRootSymbol string
	// Extra is a level outside Levels that is in use only where ExtraRegister
	// has a bit of ExtraMask set (x86's fifth level, CR4.LA57).
	Extra         *Level
	ExtraRegister string
	ExtraMask     uint64
	// Off holds while addresses are not translated: then they are physical.
	Off RegisterMatch
	// Prefixed says that a CPU sees some physical memory elsewhere than others
	// do, so that a table walk alone does not find it.
	Prefixed bool
}

// Segment is the addresses [Start, End), of which the first is at Phys in
// physical memory.
type Segment struct{ Start, End, Phys uint64 }

// RegisterMatch is a condition on a register.
type RegisterMatch struct {
	Register string
	Match
}

// In says whether the condition holds for registers by name.
func (m RegisterMatch) In(regs map[string]uint64) bool {
	v, ok := regs[m.Register]
	return ok && m.Holds(v)
}

// Entry reads the table entry that b is.
func (p *Paging) Entry(a *Arch, b []byte) uint64 {
	if p.Order != nil && len(b) == 8 {
		return p.Order.Uint64(b)
	}
	return a.Uint(b)
}

// Level is one level of a page table.
type Level struct {
	Name  string // Linux's name: pgd, p4d, pud, pmd, pte
	Shift uint   // lowest virtual address bit of its index
	Bits  uint   // number of index bits
	// Leaf makes an entry of this level map memory itself (a huge page); the
	// zero value where only the last level maps.
	Leaf Match
	// Larger are those bits of an entry that say how large the pages of the
	// table below are: so many powers of two more, and as many entries less.
	Larger Field
	// Absent and Frame are this level's where they are not Paging's; the zero
	// value otherwise.
	Absent Match
	Frame  uint64
	// EntrySize is this level's where it is not Paging's; zero otherwise.
	EntrySize int
	// FrameShift is how far to the left of its place an address is in an entry.
	FrameShift uint
	// Virtual says that an entry has the address of the next table in one of
	// the Linear segments, not its physical one.
	Virtual bool
}

// Levels lists tables of 8-byte entries: each is a page, but the root, which may be
// smaller. Those above the last have leaf.
func Levels(pageShift, vaBits uint, leaf Match) []Level {
	names := []string{"pte", "pmd", "pud", "p4d"}
	var out []Level
	for shift := pageShift; shift < vaBits; shift += pageShift - 3 {
		l := Level{Name: names[len(out)], Shift: shift, Bits: min(pageShift-3, vaBits-shift)}
		if len(out) > 0 {
			l.Leaf = leaf
		}
		out = append(out, l)
	}
	out[len(out)-1].Name = "pgd"
	slices.Reverse(out)
	return out
}

// Field is some bits of a word, from Shift up; without Bits there is none.
type Field struct{ Shift, Bits uint }

// Of is the field's value in v.
func (f Field) Of(v uint64) uint64 { return v >> f.Shift & (1<<f.Bits - 1) }

// Match is a condition on a word: the bits of Mask are those of Value. The
// zero value never holds.
type Match struct{ Mask, Value uint64 }

// AllSet is the condition that all bits of mask are set, AllClear that all are
// clear.
func AllSet(mask uint64) Match   { return Match{mask, mask} }
func AllClear(mask uint64) Match { return Match{mask, 0} }

// Holds says whether the condition holds for v.
func (m Match) Holds(v uint64) bool { return m.Mask != 0 && v&m.Mask == m.Value }

// Direct returns the physical address of one that no tables translate.
func (p *Paging) Direct(addr uint64) (phys uint64, ok bool) {
	for _, s := range p.Linear {
		if addr >= s.Start && addr < s.End {
			return addr - s.Start + s.Phys, true
		}
	}
	return 0, false
}

// Address returns the physical address in an entry of a level, which Resolve
// has returned: of a table or of memory. It is false where there can be none.
func (p *Paging) Address(l Level, entry uint64) (phys uint64, ok bool) {
	if l.Virtual {
		return p.Direct(entry & l.Frame)
	}
	return entry & l.Frame >> l.FrameShift, true
}

// Kernels says whether the kernel's addresses can have these bits from bit
// VABits up, without Canonical.
func (p *Paging) Kernels(high uint64) bool {
	return high == 0 && p.High == nil || slices.Contains(p.High, high)
}

// RootMask is the mask of the root's address in RootRegister.
func (p *Paging) RootMask() uint64 {
	if p.RootFrame != 0 {
		return p.RootFrame
	}
	return p.Frame
}

// Resolve returns a level with everything that it takes from p filled in.
func (p *Paging) Resolve(l Level) Level {
	if l.Absent.Mask == 0 {
		l.Absent = p.Absent
	}
	if l.Frame == 0 {
		l.Frame = p.Frame
	}
	if l.EntrySize == 0 {
		l.EntrySize = p.EntrySize
	}
	return l
}
