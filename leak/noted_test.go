package leak

import (
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/annotations"
	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/scanner"
)

type noUnwinder struct{}

func (noUnwinder) Method() string { return "none" }
func (noUnwinder) Unwind(uint64, guestmem.GVA, guestmem.GVA, uint64, []byte, []guestmem.GVA) (int, bool) {
	return 0, true
}

// told makes a session whose guest told its kmemleak something.
func told(calls ...func(tell func(kind hooks.NoteKind, args ...uint64))) *Session {
	notes := hooks.Notes()
	plan := &hooks.Plan{Noted: true}
	for i := range notes {
		plan.Hooks = append(plan.Hooks, hv.Hook{})
		plan.Targets = append(plan.Targets, hooks.Target{Note: &notes[i]})
	}
	s := &Session{plan: plan, tracker: hooks.NewTracker(x86.AMD64(), plan, noUnwinder{}, func([]byte) hooks.Task { return hooks.Task{} })}
	for _, call := range calls {
		call(func(kind hooks.NoteKind, args ...uint64) {
			for i := range notes {
				if notes[i].Kind == kind {
					ev := hv.Event{Kind: hv.Entry, Hook: i}
					copy(ev.Args[:], args)
					s.tracker.Event(&ev)
				}
			}
		})
	}
	return s
}

func TestMarkNoted(t *testing.T) {
	s := told(func(tell func(hooks.NoteKind, ...uint64)) {
		for i := range uint64(6) {
			tell(hooks.NoteAlloc, 0x1000+0x100*i, 0x40, 1)
		}
		tell(hooks.NoteNotLeak, 0x1100)
		tell(hooks.NoteIgnore, 0x1200)
		tell(hooks.NoteNoScan, 0x1300)
		tell(hooks.NoteScanArea, 0x1410, 8)
		tell(hooks.NoteScanArea, 0x1420, ^uint64(0))
		tell(hooks.NoteFree, 0x1500)
	})
	p := &picture{in: &scanner.Input{}, covers: map[int]int{}}
	for i := range guestmem.GVA(6) {
		p.add(object{Object: hooks.Object{Addr: 0x1000 + 0x100*i, Size: 0x40}}, scanner.Object{Addr: 0x1000 + 0x100*i, Size: 0x40})
		s.markNoted(p, int(i))
	}
	if want := map[int]int{1: ruleNotLeak, 2: ruleIgnore}; !reflect.DeepEqual(p.covers, want) {
		t.Errorf("covers %v, want %v", p.covers, want)
	}
	for i, want := range []scanner.Flag{0, 0, scanner.NoScan, scanner.NoScan, 0, 0} {
		if got := p.in.Objects[i].Flag; got != want {
			t.Errorf("object %d has flags %v, want %v", i, got, want)
		}
	}
	if got, want := p.in.Objects[4].Parts, spans(0x1410, 0x1418, 0x1420, 0x1440); !reflect.DeepEqual(got, want) {
		t.Errorf("parts %#x, want %#x", got, want)
	}
}

// What stands for calls is not matched by any object's backtrace.
func TestNotedRules(t *testing.T) {
	linux, err := annotations.Linux()
	if err != nil {
		t.Fatal(err)
	}
	rules := notedRules(linux)
	if rules[ruleNotLeak].Action != annotations.NotLeak || rules[ruleIgnore].Action != annotations.Ignore || len(rules) == 2 {
		t.Errorf("%v", rules)
	}
	m := annotations.NewMatcher(rules, hooks.Names())
	never := func(int, string) bool { return false }
	for _, i := range m.Trace([]annotations.Frame{{Function: "kmalloc_trace"}, {Function: "some_init"}}, never) {
		if i == ruleNotLeak || i == ruleIgnore {
			t.Errorf("rule %d allows a backtrace", i)
		}
	}
}
