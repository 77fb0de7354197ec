package scanner

import (
	"encoding/binary"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Input is everything a scan judges. It is read only, and nothing in it may
// change while the scan runs: the guest is paused.
type Input struct {
	WordSize int // 4 or 8 bytes
	// Order is binary.LittleEndian or binary.BigEndian.
	Order binary.ByteOrder
	// Memory must be safe for concurrent use. What it cannot read it cannot
	// read in whole pages of 4 KiB or more.
	Memory guestmem.Memory
	// Objects are best given in the order of allocation, the oldest first:
	// where objects overlap, the bytes belong to the later one.
	Objects []Object
	// Index is that of Objects and WordSize, for several scans; where nil, it is
	// made.
	Index *Index
	// Older says that one of two Objects, by index, was allocated before the
	// other: the oldest of a cycle of orphans is named as the leak. Nil for
	// the order of Objects.
	Older func(a, b int) bool
	Roots []Root
	// Layouts are what Object.Layout refers to.
	Layouts []Layout
	// Exclude lists words that are not references: a word of Memory that
	// starts in one of the ranges is skipped wherever it is scanned (a
	// vmap_area's va_start names its block without keeping it alive).
	Exclude []guestmem.Range[guestmem.GVA]
	// Edges are references that no word in memory expresses.
	Edges []Edge
}

// Object is one live allocation.
type Object struct {
	Addr guestmem.GVA
	Size uint64 // bytes
	Flag Flag
	// Layout is the number of one of Input.Layouts, counted from 1; zero for
	// all of the object. It says nothing where Parts does.
	Layout int32
	// Copies are further places of the same object: each is matched by
	// pointers and scanned like the first (per-CPU copies; with NoScan on the
	// object none is scanned). Nil for almost every object.
	Copies []guestmem.Range[guestmem.GVA]
	// Parts, where not nil, are the only ranges of the object that are
	// scanned (kmemleak's scan areas).
	Parts []guestmem.Range[guestmem.GVA]
}

// Flag changes how an object is treated.
type Flag uint8

// Object flags.
const (
	// Gray objects are never orphans and always scanned (min_count 0).
	Gray Flag = 1 << iota
	// NoScan objects hold no pointers.
	NoScan
	// Ignore makes an object neither scanned nor reported (black).
	Ignore
	// NotMapped says that Addr..Addr+Size is matched by pointers but is no
	// memory (a per-CPU offset): only Copies are scanned.
	NotMapped
)

// Root is one range that is scanned from the start, or a few loose words.
type Root struct {
	// Name is for explanations: ".data", "module foo .bss", "stack of
	// init[1]", "vCPU 0".
	Name  string
	Range guestmem.Range[guestmem.GVA]
	// Class says what kind of root it is.
	Class Class
	// Memory reads Range; nil for Input.Memory. Highmem pages and page
	// descriptors may come from elsewhere; Exclude does not apply there.
	Memory guestmem.Memory
	// Words are scanned in place of Range where not nil (registers), with
	// WordNames beside them where known.
	Words     []uint64
	WordNames []string
}

// Class is a kind of root.
type Class uint8

// Classes of root. The zero Class is none of them.
const (
	ClassData     Class = iota + 1 // the kernel's own sections
	ClassModule                    // a module's sections
	ClassPerCPU                    // static per-CPU areas
	ClassPages                     // page-allocated memory
	ClassPageDesc                  // page descriptors (struct page)
	ClassStack                     // a task's stack
	ClassRegister                  // a vCPU's registers
)

// Edge says: when the object at From is reached, To counts as a pointer
// found in it, whatever its flags except Ignore. A From that lies in no
// object but in a root's Range is a root itself; others say nothing.
type Edge struct{ From, To guestmem.GVA }

// State is the verdict on one object.
type State uint8

// Verdicts.
const (
	// Reachable objects are referenced from a root.
	Reachable State = iota + 1
	// Orphan objects are not: suspected leaks.
	Orphan
	// Unknown objects are not seen to be referenced, but memory that may
	// refer to them could not be read.
	Unknown
	// Ignored objects were not judged.
	Ignored
)

// Result is what a scan found.
type Result struct {
	// States has the verdict on each of Input.Objects, by index.
	States []State
	// Bytes is how much memory was scanned.
	Bytes uint64
	// Unreadable lists what could not be read of roots and reachable objects,
	// ascending, at most MaxUnreadable of it; UnreadableBytes is the sum over
	// all. Where it is not zero, no object is Orphan but Unknown.
	Unreadable      []guestmem.Range[guestmem.GVA]
	UnreadableBytes uint64
	// Leaks groups the objects that are Orphan or Unknown, the largest group
	// first; see Leak.
	Leaks []Leak
	// UnreadableOrphanBytes could not be read in those objects: Leaks may
	// show as two what is one. It takes nothing from a verdict.
	UnreadableOrphanBytes uint64
}

// Leak is one object that nothing refers to but what hangs on it, and the
// objects that hang on it. Each unreferenced object is in one Leak: where
// several lead to it, in that of the oldest (see Input.Older). Of objects that
// hang on each other in a cycle and on nothing else, the oldest is the one.
type Leak struct {
	Object int // index in Input.Objects
	// Cycle says that the object is referenced, from what hangs on it.
	Cycle bool
	// Bytes is the size of the object and all Children, copies not counted,
	// saturating.
	Bytes uint64
	// Children hang on the object, the nearest first.
	Children []Child
}

// Child is an object that hangs on a Leak, through Parent.
type Child struct{ Object, Parent int32 } // indices in Input.Objects
