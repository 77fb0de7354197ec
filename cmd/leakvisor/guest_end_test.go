package main

import (
	"testing"

	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// TestBusyEnd: a guest that is at work on all vCPUs when one of them powers it
// off is judged by all that happened until then.
func TestBusyEnd(t *testing.T) {
	g := guests.Find(t, guests.Default)
	var r guestRun
	r.start(t, g, "for i in 1 2 3 4 5; do (while :; do cat /proc/self/maps > /dev/null; done) & done; sleep 1", nil, "--smp", "3")
	r.wait(t, exitClean)
	rep := r.report(t)
	live(t, rep)
	if rep.Verdict != report.Clean {
		t.Errorf("verdict %s, %d orphans", rep.Verdict, len(rep.Orphans))
	}
}
