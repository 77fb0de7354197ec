package hooks

import (
	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/liveset"
	"github.com/leakvisor/leakvisor/stackdepot"
	"github.com/leakvisor/leakvisor/symbols"
)

// MaxFrames is the depth of a backtrace, kmemleak's MAX_TRACE.
const MaxFrames = 16

// Task is who allocated.
type Task struct {
	PID     int32
	Comm    string
	Jiffies uint64
}

// Tracker keeps the live set. It is not safe for concurrent use: one
// goroutine delivers events and scans.
type Tracker struct {
	arch    *arch.Arch
	plan    *Plan
	unwind  symbols.Unwinder
	context func([]byte) Task
	depot   *stackdepot.Depot

	live  [numClasses]*liveset.Set[Object]
	open  map[guestmem.GVA]int32 // stack pointer to its chain in calls
	calls []call
	free  int32 // head of the free list in calls

	noted *liveset.Set[Noted]

	comms  []string
	commID map[string]uint32
	frames [MaxFrames]guestmem.GVA
	stats  Stats
}

// Stats count what a Tracker saw.
type Stats struct {
	Events  uint64
	Hits    []uint64 // entries, by hook
	Entries uint64   // of functions whose exit is hooked
	Exits   uint64   // matched to them
	// Unmatched counts calls that were never seen to return, although their
	// stack was used again.
	Unmatched uint64
	// Replaced counts allocations at an address that was thought to be live:
	// frees that were missed.
	Replaced uint64
	// StrayFrees counts frees of objects that were not thought to be live,
	// by class: allocations that were missed. For vmalloc it includes areas
	// made by vmap and ioremap, which are not tracked.
	StrayFrees [numClasses]uint64
	// ShortArrays counts bulk calls whose array could not be read.
	ShortArrays uint64
	// CutStacks counts backtraces that ended before the outermost frame.
	CutStacks uint64
}

// call is one call in progress.
type call struct {
	object Object
	ret    guestmem.GVA
	hook   int32
	next   int32 // in the chain at the same stack pointer, or free list; -1 ends
}

// NewTracker returns a Tracker for a plan. context decodes hv.Event.Context.
func NewTracker(a *arch.Arch, plan *Plan, u symbols.Unwinder, context func([]byte) Task) *Tracker {
	t := &Tracker{
		arch: a, plan: plan, unwind: u, context: context,
		depot:  stackdepot.New(),
		open:   map[guestmem.GVA]int32{},
		free:   -1,
		commID: map[string]uint32{},
	}
	t.stats.Hits = make([]uint64, len(plan.Hooks))
	for c := range t.live {
		t.live[c] = liveset.New(extent)
	}
	t.noted = liveset.New(notedExtent)
	return t
}

// Event takes one event of an allocator's hook. Moments only count as hits.
func (t *Tracker) Event(ev *hv.Event) {
	t.stats.Events++
	switch ev.Kind {
	case hv.Entry:
		if ev.Hook >= 0 && ev.Hook < len(t.plan.Targets) {
			t.entry(ev, &t.plan.Targets[ev.Hook])
		}
	case hv.Exit:
		t.exit(ev)
	}
}

func (t *Tracker) entry(ev *hv.Event, target *Target) {
	t.stats.Hits[ev.Hook]++
	row := target.Alloc
	if target.Note != nil {
		t.note(ev, target.Note)
	}
	if row == nil {
		return
	}
	switch row.Role {
	case Alloc, AllocBulk, Realloc:
		t.begin(ev, target)
	case Free:
		t.release(target, guestmem.GVA(ev.Args[row.Pointer]))
	case FreeBulk:
		t.bulk(ev, func(addr guestmem.GVA) { t.release(target, addr) })
	}
}

// begin opens a call: the object's description is complete but for its
// address.
func (t *Tracker) begin(ev *hv.Event, target *Target) {
	t.stats.Entries++
	if head, ok := t.open[ev.SP]; ok && t.stale(head, ev) {
		t.drop(ev.SP)
	}
	o := t.object(ev)
	if row := target.Alloc; row.Size >= 0 && !target.NoArgs {
		o.Size = ev.Args[row.Size]
	}
	i := t.newCall()
	t.calls[i] = call{object: o, ret: ev.Return, hook: int32(ev.Hook), next: -1}
	if head, ok := t.open[ev.SP]; ok {
		t.calls[i].next = head
	}
	t.open[ev.SP] = i
}

// object begins the description of an object by whoever entered a function.
func (t *Tracker) object(ev *hv.Event) Object {
	task := t.context(ev.Context)
	return Object{
		Seq: ev.Seq, Jiffies: task.Jiffies, stack: t.depot.Intern(t.backtrace(ev)),
		pid: task.PID, comm: t.intern(task.Comm), hook: uint16(ev.Hook),
	}
}

// backtrace unwinds from a function's first instruction. The result is valid
// until the next call.
func (t *Tracker) backtrace(ev *hv.Event) []guestmem.GVA {
	t.restore(ev)
	t.frames[0] = ev.PC
	at, known := ev.PC, 1
	if t.arch.Call.Link != "" {
		at, known = ev.Return+guestmem.GVA(t.arch.Call.LinkSkip), 2
		t.frames[1] = at
	}
	n, complete := t.unwind.Unwind(ev.Seq, at, ev.SP, ev.FP, ev.Stack, t.frames[known:])
	if !complete {
		t.stats.CutStacks++
	}
	return t.frames[:known+n]
}

// restore puts back, in the copied stack, the return addresses of the calls in
// progress around ev: return probes and the function graph tracer put those of
// their own code in their place, where no unwinder gets any further.
func (t *Tracker) restore(ev *hv.Event) {
	if len(t.plan.ReturnTracers) == 0 || t.arch.Call.Link != "" {
		return
	}
	for sp, head := range t.open {
		at := uint64(sp - ev.SP)
		if sp < ev.SP || at+uint64(t.arch.WordSize) > uint64(len(ev.Stack)) {
			continue
		}
		if t.plan.ReturnTracers[guestmem.GVA(t.arch.Word(ev.Stack[at:]))] {
			outermost := head
			for t.calls[outermost].next >= 0 {
				outermost = t.calls[outermost].next
			}
			t.arch.PutWord(ev.Stack[at:], uint64(t.calls[outermost].ret))
		}
	}
}

// stale says whether the chain at head cannot be the callers by tail call of
// the function that ev enters.
func (t *Tracker) stale(head int32, ev *hv.Event) bool {
	for i := head; i >= 0; i = t.calls[i].next {
		if t.calls[i].ret != ev.Return && !t.plan.ReturnTracers[ev.Return] || t.calls[i].hook == int32(ev.Hook) {
			return true
		}
	}
	return false
}

// drop forgets the calls at sp: their stack is in use by others, so they
// ended unseen.
func (t *Tracker) drop(sp guestmem.GVA) {
	for i := t.open[sp]; i >= 0; {
		next := t.calls[i].next
		t.calls[i].next, t.free = t.free, i
		t.stats.Unmatched++
		i = next
	}
	delete(t.open, sp)
}

func (t *Tracker) newCall() int32 {
	if i := t.free; i >= 0 {
		t.free = t.calls[i].next
		return i
	}
	t.calls = append(t.calls, call{})
	return int32(len(t.calls) - 1)
}

// exit closes all calls at the event's stack pointer: one function and those
// that tail-called it. The outermost, which stands last, names the object.
func (t *Tracker) exit(ev *hv.Event) {
	head, ok := t.open[ev.SP]
	if !ok {
		return
	}
	delete(t.open, ev.SP)
	for i := head; i >= 0; {
		c := &t.calls[i]
		next := c.next
		t.stats.Exits++
		if next < 0 {
			t.finish(ev, c)
		}
		c.next, t.free = t.free, i
		i = next
	}
}

func (t *Tracker) finish(ev *hv.Event, c *call) {
	row := t.plan.Targets[c.hook].Alloc
	if row.Role == AllocBulk {
		t.bulk(ev, func(addr guestmem.GVA) { t.insert(row.Class, addr, c.object) })
		return
	}
	if row.Role == Realloc {
		if o := t.live[row.Class].Get(guestmem.GVA(ev.Result)); o != nil {
			if o.Seq < c.object.Seq { // the object it was given
				o.Size = c.object.Size
			}
			return
		}
	}
	t.insert(row.Class, guestmem.GVA(ev.Result), c.object)
}

func (t *Tracker) insert(class Class, addr guestmem.GVA, o Object) {
	if !t.valid(addr) {
		return
	}
	o.Addr = addr
	if old := t.live[class].Get(addr); old != nil && old.Seq > o.Seq {
		return // allocated by a hooked function within this call
	}
	if _, missed := t.live[class].Put(o); missed && class != Pages {
		t.stats.Replaced++
	}
}

func (t *Tracker) release(target *Target, addr guestmem.GVA) {
	if !t.valid(addr) {
		return
	}
	set := t.live[target.Alloc.Class]
	_, found := set.Remove(addr)
	if !found && target.Alloc.Interior {
		if o := set.Covering(addr); o != nil {
			_, found = set.Remove(o.Addr)
		}
	}
	if !found && !target.Part {
		t.stats.StrayFrees[target.Alloc.Class]++
	}
}

// valid tells objects from what allocators return for none and frees accept:
// NULL, ZERO_SIZE_PTR (16, include/linux/slab.h) and error pointers (the
// topmost 4095 addresses, include/linux/err.h).
func (t *Tracker) valid(addr guestmem.GVA) bool {
	const zeroSizePtr, maxErrno = 16, 4095
	top := ^uint64(0) >> (64 - 8*t.arch.WordSize)
	return addr > zeroSizePtr && uint64(addr) < top-maxErrno
}

func (t *Tracker) bulk(ev *hv.Event, each func(guestmem.GVA)) {
	if ev.ArrayShort {
		t.stats.ShortArrays++
	}
	w := t.arch.WordSize
	for b := ev.Array; len(b) >= w; b = b[w:] {
		each(guestmem.GVA(t.arch.Word(b)))
	}
}

func (t *Tracker) intern(s string) uint32 {
	id, ok := t.commID[s]
	if !ok {
		id = uint32(len(t.comms))
		t.comms = append(t.comms, s)
		t.commID[s] = id
	}
	return id
}

// Stats returns the counts so far. Hits is shared with the Tracker.
func (t *Tracker) Stats() Stats { return t.stats }

// OpenCall is a call in progress.
type OpenCall struct {
	Hook int
	SP   guestmem.GVA
}

// Open returns the calls in progress, in no order.
func (t *Tracker) Open() []OpenCall {
	var out []OpenCall
	for sp, head := range t.open {
		for i := head; i >= 0; i = t.calls[i].next {
			out = append(out, OpenCall{Hook: int(t.calls[i].hook), SP: sp})
		}
	}
	return out
}
