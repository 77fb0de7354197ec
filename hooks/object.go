package hooks

import (
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/liveset"
)

// Object is one live allocation, 48 bytes.
type Object struct {
	// Addr is what the allocator returned: for PerCPU an offset that each
	// CPU adds to its base, for Pages the address of a struct page.
	Addr guestmem.GVA
	// Size is the size asked for in bytes, the order for Pages; zero where
	// only the slab cache knows it.
	Size    uint64
	Seq     uint64 // number of the event at which the allocator was entered
	Jiffies uint64
	stack   uint32
	comm    uint32
	pid     int32
	hook    uint16
}

// extent tells the live set where an object is.
func extent(o *Object) (guestmem.GVA, uint64) { return o.Addr, o.Size }

// Live returns the live objects of a class by ascending address.
func (t *Tracker) Live(c Class) []Object { return t.live[c].Sorted() }

// LiveSet returns the live objects of a class, which are the Tracker's own.
func (t *Tracker) LiveSet(c Class) *liveset.Set[Object] { return t.live[c] }

// LiveCount returns the number of live objects of all classes.
func (t *Tracker) LiveCount() uint64 {
	n := 0
	for _, set := range t.live {
		n += set.Len()
	}
	return uint64(n)
}

// Lookup returns the live object that starts at addr.
func (t *Tracker) Lookup(c Class, addr guestmem.GVA) (Object, bool) {
	o := t.live[c].Get(addr)
	if o == nil {
		return Object{}, false
	}
	return *o, true
}

// Has says whether a live object starts at addr.
func (t *Tracker) Has(c Class, addr guestmem.GVA) bool { return t.live[c].Get(addr) != nil }

// Backtrace returns the call stack of o's allocation, the allocator's own
// entry first.
func (t *Tracker) Backtrace(o Object) []guestmem.GVA { return t.depot.Get(o.stack) }

// Stack returns the number of that call stack: equal ones have the same.
func (t *Tracker) Stack(o Object) uint32 { return o.stack }

// Task returns who allocated o.
func (t *Tracker) Task(o Object) Task {
	return Task{PID: o.pid, Comm: t.comms[o.comm], Jiffies: o.Jiffies}
}

// One says whether o was the result of a call: a bulk allocator's result is a
// number.
func (t *Tracker) One(o Object) bool { return t.plan.Targets[o.hook].Alloc.Role == Alloc }

// Symbol returns the name of the function that allocated o.
func (t *Tracker) Symbol(o Object) string { return t.plan.Targets[o.hook].Symbol }
