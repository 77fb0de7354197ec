package hooks

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch/arm"
	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// fakeUnwinder knows the return address.
type fakeUnwinder struct{}

func (fakeUnwinder) Method() string { return "fake" }

func (fakeUnwinder) Unwind(_ uint64, _, _ guestmem.GVA, _ uint64, stack []byte, out []guestmem.GVA) (int, bool) {
	if len(stack) < 8 {
		return 0, false
	}
	out[0] = guestmem.GVA(binary.LittleEndian.Uint64(stack))
	return 1, true
}

func TestBacktraceByLink(t *testing.T) {
	// Where the return address is in a register, the stack has the callers'.
	tr := NewTracker(arm.ARM64(), &Plan{}, fakeUnwinder{}, nil)
	got := tr.backtrace(&hv.Event{PC: 1, Return: 2, Stack: binary.LittleEndian.AppendUint64(nil, 3)})
	if want := []guestmem.GVA{1, 2, 3}; !reflect.DeepEqual(got, want) {
		t.Errorf("backtrace %v, want %v", got, want)
	}
}

// bench feeds a tracker whose plan has these symbols of the table.
type bench struct {
	t   *testing.T
	tr  *Tracker
	id  map[string]int
	seq uint64
}

func newBench(t *testing.T, syms ...string) *bench {
	b := &bench{t: t, id: map[string]int{}}
	plan := &Plan{}
	table := Table()
	for i := range table {
		for _, s := range table[i].Symbols {
			for _, want := range syms {
				if s == want {
					b.id[s] = len(plan.Hooks)
					plan.Hooks = append(plan.Hooks, hv.Hook{Name: s})
					plan.Targets = append(plan.Targets, Target{Symbol: s, Alloc: &table[i]})
				}
			}
		}
	}
	if len(b.id) != len(syms) {
		t.Fatalf("the table has %v of %v", b.id, syms)
	}
	b.tr = NewTracker(x86.AMD64(), plan, fakeUnwinder{}, func([]byte) Task {
		return Task{PID: 7, Comm: "test", Jiffies: b.seq}
	})
	return b
}

func (b *bench) enter(sym string, sp, ret guestmem.GVA, args ...uint64) {
	b.seq++
	ev := hv.Event{Kind: hv.Entry, Hook: b.id[sym], Seq: b.seq, PC: 0x1000, SP: sp, Return: ret, Stack: binary.LittleEndian.AppendUint64(nil, uint64(ret))}
	copy(ev.Args[:], args)
	b.tr.Event(&ev)
}

func (b *bench) enterArray(sym string, array []uint64, args ...uint64) {
	b.seq++
	ev := hv.Event{Kind: hv.Entry, Hook: b.id[sym], Seq: b.seq}
	copy(ev.Args[:], args)
	for _, w := range array {
		ev.Array = binary.LittleEndian.AppendUint64(ev.Array, w)
	}
	b.tr.Event(&ev)
}

func (b *bench) leave(sp guestmem.GVA, result uint64, array ...uint64) {
	b.seq++
	ev := hv.Event{Kind: hv.Exit, Hook: -1, Seq: b.seq, SP: sp, Result: result}
	for _, w := range array {
		ev.Array = binary.LittleEndian.AppendUint64(ev.Array, w)
	}
	b.tr.Event(&ev)
}

func (b *bench) live(c Class, want ...guestmem.GVA) {
	b.t.Helper()
	var got []guestmem.GVA
	for _, o := range b.tr.Live(c) {
		got = append(got, o.Addr)
	}
	if !reflect.DeepEqual(got, want) {
		b.t.Errorf("live %s objects %#x, want %#x", c, got, want)
	}
}

func TestTrackerPairs(t *testing.T) {
	b := newBench(t, "__kmalloc", "kfree")
	b.enter("__kmalloc", 0x100, 0xaaaa, 40)
	b.enter("__kmalloc", 0x900, 0xbbbb, 80) // another task, meanwhile
	b.leave(0x100, 0x5000)
	b.leave(0x900, 0x4000)
	b.leave(0x333, 0x9999) // nobody's exit
	b.live(Slab, 0x4000, 0x5000)
	o, _ := b.tr.Lookup(Slab, 0x5000)
	if o.Size != 40 || b.tr.Symbol(o) != "__kmalloc" || b.tr.Task(o) != (Task{PID: 7, Comm: "test", Jiffies: 1}) {
		t.Errorf("object %+v by %v", o, b.tr.Task(o))
	}
	if got := b.tr.Backtrace(o); !reflect.DeepEqual(got, []guestmem.GVA{0x1000, 0xaaaa}) {
		t.Errorf("backtrace %#x", got)
	}
	b.enter("kfree", 0x200, 0, 0x5000)
	b.enter("kfree", 0x200, 0, 0)
	b.enter("kfree", 0x200, 0, 16)
	b.live(Slab, 0x4000)
	b.enter("kfree", 0x200, 0, 0x5000)
	s := b.tr.Stats()
	if s.Entries != 2 || s.Exits != 2 || s.Unmatched != 0 || s.StrayFrees[Slab] != 1 || s.Hits[b.id["kfree"]] != 4 {
		t.Errorf("stats %+v", s)
	}
}

func TestTrackerFailures(t *testing.T) {
	b := newBench(t, "__kmalloc")
	for _, result := range []uint64{0, 16, ^uint64(11)} {
		b.enter("__kmalloc", 0x100, 0xaaaa, 0)
		b.leave(0x100, result)
	}
	b.live(Slab)
}

// TestTrackerReturnProbe: a probe replaces the return address of a call in
// progress, behind its entry.
func TestTrackerReturnProbe(t *testing.T) {
	b := newBench(t, "__kmalloc", "__kmalloc_large_node")
	b.tr.plan.ReturnTracers = map[guestmem.GVA]bool{0x7777: true}
	b.tr.unwind = frames{}
	b.enter("__kmalloc", 0x1010, 0xaaaa, 1<<16)
	stack := binary.LittleEndian.AppendUint64(nil, 0xbbbb)
	stack = binary.LittleEndian.AppendUint64(stack, 0)
	stack = binary.LittleEndian.AppendUint64(stack, 0x7777)
	b.tr.Event(&hv.Event{Kind: hv.Entry, Hook: b.id["__kmalloc_large_node"], Seq: 9, PC: 0x2000, SP: 0x1000, Return: 0xbbbb, Stack: stack})
	b.leave(0x1000, 0x5000)
	o, _ := b.tr.Lookup(Slab, 0x5000)
	if got := b.tr.Backtrace(o); !reflect.DeepEqual(got, []guestmem.GVA{0x2000, 0xbbbb, 0xaaaa}) {
		t.Errorf("backtrace %#x", got)
	}
	// A tail call finds the probe's address where its own is to be.
	b.enter("__kmalloc_large_node", 0x1010, 0x7777)
	b.leave(0x1010, 0x6000)
	if s := b.tr.Stats(); s.Unmatched != 0 || s.Exits != 3 {
		t.Errorf("stats %+v", s)
	}
	// Where no call is known nothing is changed, nor what is no probe's.
	b.enter("__kmalloc", 0x1010, 0xaaaa, 1<<16)
	binary.LittleEndian.PutUint64(stack[16:], 0xcccc)
	b.tr.Event(&hv.Event{Kind: hv.Entry, Hook: b.id["__kmalloc_large_node"], Seq: 20, PC: 0x2000, SP: 0x1000, Return: 0xbbbb, Stack: stack})
	b.leave(0x1000, 0x8000)
	o, _ = b.tr.Lookup(Slab, 0x8000)
	if got := b.tr.Backtrace(o); !reflect.DeepEqual(got, []guestmem.GVA{0x2000, 0xbbbb, 0xcccc}) {
		t.Errorf("backtrace %#x", got)
	}
}

// frames takes each word of the stack for a frame, but for zero.
type frames struct{ fakeUnwinder }

func (frames) Unwind(_ uint64, _, _ guestmem.GVA, _ uint64, stack []byte, out []guestmem.GVA) (int, bool) {
	n := 0
	for ; len(stack) >= 8; stack = stack[8:] {
		if w := binary.LittleEndian.Uint64(stack); w != 0 {
			out[n] = guestmem.GVA(w)
			n++
		}
	}
	return n, true
}

func TestTrackerTailCall(t *testing.T) {
	b := newBench(t, "kmalloc_large_node", "__kmalloc")
	b.enter("__kmalloc", 0x100, 0xaaaa, 10000)
	b.enter("kmalloc_large_node", 0x100, 0xaaaa, 10000) // jumped to
	b.leave(0x100, 0x8000)
	b.live(Slab, 0x8000)
	if o, _ := b.tr.Lookup(Slab, 0x8000); b.tr.Symbol(o) != "__kmalloc" {
		t.Errorf("allocated by %s", b.tr.Symbol(o))
	}
	if s := b.tr.Stats(); s.Entries != 2 || s.Exits != 2 || s.Replaced != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestTrackerNested(t *testing.T) {
	b := newBench(t, "kmalloc_large_node", "__kmalloc", "kfree")
	b.enter("__kmalloc", 0x100, 0xaaaa, 10000)
	b.enter("kmalloc_large_node", 0x80, 0xbbbb, 10000)
	b.leave(0x80, 0x8000)
	b.leave(0x100, 0x8000)
	b.live(Slab, 0x8000)
	if s := b.tr.Stats(); s.Replaced != 0 {
		t.Errorf("stats %+v", s)
	}
	// The same address again without a free in between was missed.
	b.enter("__kmalloc", 0x100, 0xaaaa, 8)
	b.leave(0x100, 0x8000)
	if s := b.tr.Stats(); s.Replaced != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestTrackerLostExit(t *testing.T) {
	b := newBench(t, "__kmalloc")
	b.enter("__kmalloc", 0x100, 0xaaaa, 8)
	b.enter("__kmalloc", 0x100, 0xbbbb, 8) // the stack was used again
	b.leave(0x100, 0x8000)
	b.live(Slab, 0x8000)
	s := b.tr.Stats()
	if s.Entries != 2 || s.Exits != 1 || s.Unmatched != 1 || len(b.tr.Open()) != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestTrackerBulk(t *testing.T) {
	b := newBench(t, "kmem_cache_alloc_bulk", "kmem_cache_free_bulk")
	b.enter("kmem_cache_alloc_bulk", 0x100, 0xaaaa, 1, 2, 3, 0x7000)
	if open := b.tr.Open(); len(open) != 1 || open[0].SP != 0x100 {
		t.Errorf("open calls %v", open)
	}
	b.leave(0x100, 3, 0x8000, 0x8100, 0x8200)
	b.live(Slab, 0x8000, 0x8100, 0x8200)
	b.enterArray("kmem_cache_free_bulk", []uint64{0x8200, 0x8000}, 0, 2, 0x7000)
	b.live(Slab, 0x8100)
}

func TestTrackerPerCPU(t *testing.T) {
	b := newBench(t, "pcpu_alloc", "free_percpu")
	b.enter("pcpu_alloc", 0x100, 0xaaaa, 64, 8)
	b.leave(0x100, 0x2c0a0)
	b.live(PerCPU, 0x2c0a0)
	b.live(Slab)
	b.enter("free_percpu", 0x100, 0xaaaa, 0x2c0a0)
	b.live(PerCPU)
}

// FuzzTracker feeds arbitrary events: counts must stay consistent.
func FuzzTracker(f *testing.F) {
	f.Add([]byte{1, 0, 1, 5, 2, 0, 1, 9, 1, 1, 1, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newBench(t, "__kmalloc", "kfree", "kmem_cache_alloc_bulk", "kmem_cache_free_bulk", "pcpu_alloc")
		for ; len(script) >= 4; script = script[4:] {
			b.seq++
			ev := hv.Event{Kind: hv.Kind(script[0] % 3), Hook: int(script[1]%8) - 1, Seq: b.seq, SP: guestmem.GVA(script[2]),
				Return: guestmem.GVA(script[3] & 1), Result: uint64(script[3]), Array: script}
			ev.Args[0] = uint64(script[3])
			b.tr.Event(&ev)
		}
		s := b.tr.Stats()
		if s.Entries != s.Exits+s.Unmatched+uint64(len(b.tr.Open())) {
			t.Fatalf("%d entries, %d exits, %d unmatched, %d open", s.Entries, s.Exits, s.Unmatched, len(b.tr.Open()))
		}
	})
}

func TestTrackerRealloc(t *testing.T) {
	b := newBench(t, "krealloc", "__kmalloc", "kfree")
	b.enter("krealloc", 0x100, 0xaaaa, 0, 40) // with the allocator's code in it
	b.leave(0x100, 0x5000)
	b.live(Slab, 0x5000)
	b.enter("krealloc", 0x100, 0xaaaa, 0x5000, 48) // in place
	b.leave(0x100, 0x5000)
	if o, _ := b.tr.Lookup(Slab, 0x5000); o.Seq != 1 || o.Size != 48 {
		t.Errorf("grown in place: %+v", o)
	}
	b.enter("krealloc", 0x100, 0xaaaa, 0x5000, 400)
	b.enter("__kmalloc", 0x80, 0xbbbb, 400)
	b.leave(0x80, 0x6000)
	b.enter("kfree", 0x80, 0xcccc, 0x5000)
	b.leave(0x100, 0x6000)
	b.live(Slab, 0x6000)
	if o, _ := b.tr.Lookup(Slab, 0x6000); b.tr.Symbol(o) != "__kmalloc" || o.Size != 400 {
		t.Errorf("moved: %+v by %s", o, b.tr.Symbol(o))
	}
	b.enter("krealloc", 0x100, 0xaaaa, 0x6000, 1<<40) // fails
	b.leave(0x100, 0)
	b.live(Slab, 0x6000)
	if s := b.tr.Stats(); s.Entries != s.Exits || s.Replaced != 0 || s.StrayFrees[Slab] != 0 {
		t.Errorf("stats %+v", s)
	}
}
