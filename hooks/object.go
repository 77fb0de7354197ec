package hooks

import (
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
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

// liveClass is the live set of one class.
type liveClass struct{ objects map[guestmem.GVA]Object }

func (l *liveClass) init()                             { l.objects = map[guestmem.GVA]Object{} }
func (l *liveClass) get(a guestmem.GVA) (Object, bool) { o, ok := l.objects[a]; return o, ok }
func (l *liveClass) put(o Object)                      { l.objects[o.Addr] = o }
func (l *liveClass) remove(a guestmem.GVA) (found bool) {
	_, found = l.objects[a]
	delete(l.objects, a)
	return
}

// Live returns the live objects of a class by ascending address.
func (t *Tracker) Live(c Class) []Object {
	out := make([]Object, 0, len(t.live[c].objects))
	for _, o := range t.live[c].objects {
		out = append(out, o)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Addr < out[j].Addr })
	return out
}

// Lookup returns the live object that starts at addr.
func (t *Tracker) Lookup(c Class, addr guestmem.GVA) (Object, bool) { return t.live[c].get(addr) }

// Backtrace returns the call stack of o's allocation, the allocator's own
// entry first.
func (t *Tracker) Backtrace(o Object) []guestmem.GVA { return t.depot.Get(o.stack) }

// Task returns who allocated o.
func (t *Tracker) Task(o Object) Task {
	return Task{PID: o.pid, Comm: t.comms[o.comm], Jiffies: o.Jiffies}
}

// Symbol returns the name of the function that allocated o.
func (t *Tracker) Symbol(o Object) string { return t.plan.Targets[o.hook].Symbol }

// LiveCount returns the number of live objects of all classes.
func (t *Tracker) LiveCount() uint64 {
	n := 0
	for c := range t.live {
		n += len(t.live[c].objects)
	}
	return uint64(n)
}

// Has says whether an object starts at addr.
func (t *Tracker) Has(c Class, addr guestmem.GVA) bool { _, ok := t.live[c].get(addr); return ok }
