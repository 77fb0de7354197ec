package leak

import (
	"testing"

	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/scanner"
)

func TestStackRoots(t *testing.T) {
	task := &kernel.Task{PID: 7, Comm: "some", Stack: spans(0x1000, 0x2000)[0]}
	picked := func(from Roots) map[gvaRange]string {
		p := &picture{in: &scanner.Input{}}
		p.tasks = []*kernel.Task{task}
		p.live = []kernel.LiveStack{{Name: "stack of some[7]", Task: task, Range: spans(0x1f00, 0x2000)[0]}}
		p.stacks = spans(0x1000, 0x3000, 0x8000, 0x9000) // a cached one behind the task's, and a CPU's
		p.from = from
		p.stackRoots()
		got := map[gvaRange]string{}
		for _, r := range p.in.Roots {
			got[r.Range] = r.Name
		}
		return got
	}
	if got := picked(Roots{}); len(got) != 1 || got[spans(0x1f00, 0x2000)[0]] != "stack of some[7]" {
		t.Errorf("live: %v", got)
	}
	got := picked(Roots{WholeStacks: true})
	if len(got) != 3 || got[spans(0x1000, 0x2000)[0]] != "stack of some[7]" {
		t.Errorf("whole: %v", got)
	}
	for _, r := range spans(0x2000, 0x3000, 0x8000, 0x9000) {
		if got[r] == "" {
			t.Errorf("whole: %v is missing in %v", r, got)
		}
	}
}
