package main

import (
	"bytes"
	"os"
	"path/filepath"
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
	const bulk = 500 // kfree_rcu frees a page of pointers in one call
	liveFreeing(t, rep, bulk)
	if rep.Verdict != report.Clean {
		t.Errorf("verdict %s, %d orphans", rep.Verdict, len(rep.Orphans))
	}
}

// TestTrackOne: what is not tracked is not reported, but what it holds lives.
func TestTrackOne(t *testing.T) {
	g := guests.Find(t, guests.Default)
	modules := []guests.Built{guests.Module(t, g, "holder"), guests.Module(t, g, "groundtruth"), guests.Module(t, g, "rmmodleak")}
	for _, kind := range []report.Kind{"slab", "vmalloc", "percpu"} {
		t.Run(string(kind), func(t *testing.T) {
			var r guestRun
			r.start(t, g, plantScript, modules, "--track", string(kind))
			r.wait(t, exitLeaks)
			rep := r.report(t)
			live(t, rep)
			for i := range rep.Orphans {
				if o := &rep.Orphans[i]; o.Kind != kind || !plantedBy(o) {
					t.Errorf("reported:\n%s", record(o))
				}
			}
		})
	}
}

// varietyScript loads the module once so that its load fails, and leaks once
// more in the name of a process that reads a file.
const varietyScript = `if insmod /modules/variety.ko fail=1; then exit 1; fi
insmod /modules/variety.ko
cat /proc/variety > /dev/null
sleep 1
`

// TestVariety: objects that modules use besides plain memory, leaked and kept,
// while tracers rewrite the allocators' code.
func TestVariety(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		var r guestRun
		r.start(t, g, varietyScript, []guests.Built{guests.Module(t, g, "variety")}, "--smp", "2")
		r.wait(t, exitLeaks)
		rep := r.report(t)
		live(t, rep)
		judge(t, rep, r.plants(t))
	})
}

// TestRefused: what cannot be used is the user's error, not the guest's.
func TestRefused(t *testing.T) {
	g := guests.Find(t, guests.Default)
	garbage := filepath.Join(t.TempDir(), "kernel")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage "), 1<<14), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, kernel string
		flags        []string
	}{
		{"kernel", garbage, nil},
		{"memory", "", []string{"--memory", "1T"}},
		{"output", "", []string{"--output", "/dev/full"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := guestRun{kernel: c.kernel}
			r.start(t, g, "true", nil, c.flags...)
			r.wait(t, exitUsage)
		})
	}
}
