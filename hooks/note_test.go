package hooks

import (
	"math"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// noteBench feeds a tracker with what a kernel tells its kmemleak.
func noteBench() (*Tracker, func(fn string, args ...uint64)) {
	plan := &Plan{Noted: true}
	id := map[string]int{}
	table, notes := Table(), Notes()
	for i := range table {
		if table[i].Symbols[0] == "__kmalloc" {
			id["__kmalloc"] = len(plan.Targets)
			plan.Targets = append(plan.Targets, Target{Symbol: "__kmalloc", Alloc: &table[i]})
		}
	}
	for i := range notes {
		for _, s := range notes[i].Symbols {
			id[s] = len(plan.Targets)
			plan.Targets = append(plan.Targets, Target{Symbol: s, Note: &notes[i]})
		}
	}
	plan.Hooks = make([]hv.Hook, len(plan.Targets))
	tr := NewTracker(x86.AMD64(), plan, fakeUnwinder{}, func([]byte) Task { return Task{PID: 7, Comm: "test"} })
	seq := uint64(0)
	return tr, func(fn string, args ...uint64) {
		seq++
		ev := hv.Event{Kind: hv.Entry, Hook: id[fn], Seq: seq, PC: guestmem.GVA(0x1000 + seq), SP: 0x100}
		copy(ev.Args[:], args)
		tr.Event(&ev)
	}
}

func TestNotes(t *testing.T) {
	tr, call := noteBench()
	call("kmemleak_alloc", 0x5000, 64, 1)
	call("kmemleak_alloc", 0x6000, 64, 1)
	call("kmemleak_alloc", 0, 64, 1)
	call("kmemleak_not_leak", 0x5000)
	call("kmemleak_no_scan", 0x6000)
	call("kmemleak_scan_area", 0x6010, 16)
	call("kmemleak_scan_area", 0x6030, math.MaxUint64)
	if n := tr.Noted(0x5000); n == nil || n.MinCount != 0 || n.Size != 64 || tr.Task(n.Object).PID != 7 {
		t.Errorf("not a leak: %+v", n)
	}
	want := []guestmem.Range[guestmem.GVA]{{Start: 0x6010, End: 0x6020}, {Start: 0x6030, End: math.MaxUint64}}
	if n := tr.Noted(0x6000); n == nil || n.MinCount != 1 || !n.NoScan || !reflect.DeepEqual(n.Areas, want) {
		t.Errorf("parts: %+v", n)
	}
	call("kmemleak_ignore", 0x6000)
	if n := tr.Noted(0x6000); n.MinCount != -1 {
		t.Errorf("ignored: %+v", n)
	}
	call("kmemleak_free", 0x6000)
	if n := tr.Noted(0x6000); n != nil {
		t.Errorf("freed: %+v", n)
	}
	// Told by another allocator: only the mark is known.
	call("kmemleak_not_leak", 0x9000)
	if n := tr.Noted(0x9000); n == nil || n.Size != 0 || n.MinCount != 0 {
		t.Errorf("a mark alone: %+v", n)
	}
	if n := tr.AllNoted().Len(); n != 2 {
		t.Errorf("%d objects are noted", n)
	}
}

func TestNotesOfParts(t *testing.T) {
	tr, call := noteBench()
	call("kmemleak_alloc", 0x10000, 0x3000, 1)
	call("kmemleak_free_part", 0x11000, 0x1000)
	for _, start := range []guestmem.GVA{0x10000, 0x12000} {
		if n := tr.Noted(start); n == nil || n.Size != 0x1000 || n.MinCount != 1 {
			t.Errorf("what is left at %#x: %+v", start, n)
		}
	}
	call("kmemleak_free_part", 0x12800, math.MaxUint64) // beyond its end
	if n := tr.Noted(0x12000); n == nil || n.Size != 0x800 {
		t.Errorf("a cut end: %+v", n)
	}
	call("kmemleak_free_part", 0x10000, 0x1000)
	call("kmemleak_free_part", 0x77000, 1)
	if n := tr.AllNoted().Len(); n != 1 {
		t.Errorf("%d objects are noted", n)
	}
}

func TestNoteTrace(t *testing.T) {
	tr, call := noteBench()
	call("__kmalloc", 40)
	tr.Event(&hv.Event{Kind: hv.Exit, Hook: -1, Seq: 100, SP: 0x100, Result: 0x5000})
	call("kmemleak_alloc", 0x5000, 64, 1)
	call("kmemleak_update_trace", 0x5000)
	o, ok := tr.Lookup(Slab, 0x5000)
	if got := tr.Backtrace(o); !ok || len(got) != 1 || got[0] != 0x1003 {
		t.Errorf("backtrace %#x", got)
	}
	if n := tr.Noted(0x5000); tr.Backtrace(n.Object)[0] != 0x1003 {
		t.Errorf("note: backtrace %#x", tr.Backtrace(n.Object))
	}
}
