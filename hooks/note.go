package hooks

import (
	"errors"
	"fmt"
	"math"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/liveset"
	"github.com/leakvisor/leakvisor/symbols"
)

// Noted is what a kernel told its own kmemleak about one object.
type Noted struct {
	// Object has the address, the size and who made it; the size is zero for
	// an object of which only marks were told, not its allocation.
	Object
	// MinCount is how many references keep the object from being a leak: 0
	// where it is none, -1 where it is not to be looked at either.
	MinCount int32
	NoScan   bool
	// Areas, where not nil, are the only ranges that hold references.
	Areas []guestmem.Range[guestmem.GVA]
}

func notedExtent(n *Noted) (guestmem.GVA, uint64) { return n.Addr, n.Size }

// HasNotes says whether a kernel tells its own kmemleak of its objects by
// functions that can be hooked.
func HasNotes(code Code) bool {
	f, err := code.Func("kmemleak_alloc")
	return err == nil && len(f.Entries) > 0
}

// notes adds kmemleak's functions to the plan, if the kernel has them.
func (b *builder) notes(stack int) error {
	if !HasNotes(b.code) {
		return nil
	}
	b.plan.Noted = true
	table := Notes()
	for i := range table {
		row := &table[i]
		for _, name := range row.Symbols {
			f, err := b.code.Func(name)
			if errors.Is(err, symbols.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			for _, e := range f.Entries {
				if changesArgs(e.Name[len(name):]) {
					b.plan.Gaps = append(b.plan.Gaps, fmt.Sprintf("%s is not hooked: it is a clone whose arguments the compiler may have changed", e.Name))
					continue
				}
				h := hv.Hook{Name: e.Name, Entry: b.gva(e.Addr)}
				if row.Kind == NoteAlloc || row.Kind == NoteTrace {
					h.StackBytes = stack
				}
				b.add(h, Target{Symbol: e.Name, Note: row})
			}
		}
	}
	return nil
}

// Noted returns what was told of the object that starts at addr, nil for
// nothing. It is the Tracker's own.
func (t *Tracker) Noted(addr guestmem.GVA) *Noted { return t.noted.Get(addr) }

// AllNoted returns all objects of which something was told, which are the
// Tracker's own.
func (t *Tracker) AllNoted() *liveset.Set[Noted] { return t.noted }

func (t *Tracker) note(ev *hv.Event, row *Note) {
	addr := guestmem.GVA(ev.Args[row.Pointer])
	if !t.valid(addr) {
		return
	}
	switch row.Kind {
	case NoteAlloc:
		o := t.object(ev)
		o.Addr, o.Size = addr, ev.Args[row.Size]
		t.noted.Put(Noted{Object: o, MinCount: int32(ev.Args[row.MinCount])})
	case NoteFree:
		t.noted.Remove(addr)
	case NoteFreePart:
		t.freePart(addr, ev.Args[row.Size])
	case NoteNotLeak:
		t.marked(addr).MinCount = 0
	case NoteIgnore:
		t.marked(addr).MinCount = -1
	case NoteNoScan:
		t.marked(addr).NoScan = true
	case NoteScanArea:
		n := t.notedAt(addr)
		if n == nil {
			n = t.marked(addr)
		}
		end := addr + guestmem.GVA(ev.Args[row.Size])
		if end < addr || ev.Args[row.Size] == t.sizeMax() {
			end = math.MaxUint64
		}
		n.Areas = append(n.Areas, guestmem.Range[guestmem.GVA]{Start: addr, End: end})
	case NoteTrace:
		stack := t.object(ev).stack
		if n := t.noted.Get(addr); n != nil {
			n.stack = stack
		}
		if o := t.live[Slab].Get(addr); o != nil {
			o.stack = stack
		}
	}
}

// marked returns the note of an object, a new one if its allocation was told
// by other means.
func (t *Tracker) marked(addr guestmem.GVA) *Noted {
	if n := t.noted.Get(addr); n != nil {
		return n
	}
	t.noted.Put(Noted{Object: Object{Addr: addr}, MinCount: 1})
	return t.noted.Get(addr)
}

// notedAt returns the note of the object in which addr is. It mostly is near
// the object's start; to look elsewhere is slow.
func (t *Tracker) notedAt(addr guestmem.GVA) *Noted {
	const near = 512
	for off := guestmem.GVA(0); off <= min(near, addr); off += guestmem.GVA(t.arch.WordSize) {
		if n := t.noted.Get(addr - off); n != nil && uint64(off) < max(n.Size, 1) {
			return n
		}
	}
	return t.noted.Covering(addr)
}

// freePart takes size bytes at addr out of the object in which they are; what
// is left are objects of their own.
func (t *Tracker) freePart(addr guestmem.GVA, size uint64) {
	n := t.notedAt(addr)
	if n == nil {
		return
	}
	old := *n
	t.noted.Remove(old.Addr)
	rest := func(start, end guestmem.GVA) {
		if start < end {
			part := old
			part.Addr, part.Size = start, uint64(end-start)
			t.noted.Put(part)
		}
	}
	end := old.Addr + guestmem.GVA(old.Size)
	rest(old.Addr, addr)
	if size < uint64(end-addr) {
		rest(addr+guestmem.GVA(size), end)
	}
}

func (t *Tracker) sizeMax() uint64 { return ^uint64(0) >> (64 - 8*t.arch.WordSize) }
