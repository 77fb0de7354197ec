package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/hv/kvm"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/symbols"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestLeaklab: our own kernel gets the same verdicts on every architecture,
// and under KVM, and all of them are right.
func TestLeaklab(t *testing.T) {
	for _, l := range guests.Leaklabs() {
		for cpus := 1; cpus <= l.CPUs; cpus++ {
			t.Run(fmt.Sprintf("%s/cpus=%d", l.Arch, cpus), func(t *testing.T) {
				if l.Emulator == "" {
					leaklab(t, l, cpus, "--hv", hvEmu)
					return
				}
				leaklab(t, l, cpus)
			})
		}
	}
	t.Run("KVM", func(t *testing.T) {
		caps, err := kvm.Probe(t.Context())
		if err == nil {
			err = caps.Check()
		}
		if err != nil {
			t.Skipf("needs /dev/kvm: %v", err)
		}
		leaklab(t, guests.Leaklabs()[0], 1, "--hv", "kvm")
	})
}

func leaklab(t *testing.T, l guests.Leaklab, cpus int, flags ...string) {
	t.Helper()
	kernel := l.Kernel(t)
	r := guestRun{kernel: kernel, vmlinux: kernel}
	r.launch(t, append([]string{"--memory", "64M", "--smp", fmt.Sprint(cpus), "--track", "slab,vmalloc,percpu,pages"}, flags...)...)
	r.wait(t, exitLeaks)
	rep := r.report(t)
	live(t, rep)
	if rep.Liveness.CutBacktraces != 0 {
		t.Errorf("%d backtraces are cut", rep.Liveness.CutBacktraces)
	}
	got := verdicts(t, rep, r.plants(t), pageSize(t, kernel))
	golden, err := l.Verdicts()
	if err != nil {
		t.Fatal(err)
	}
	if *update && cpus == 2 {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if cpus == 1 {
		want = regexp.MustCompile(`(?m)^\w+ cpu1.*\n`).ReplaceAll(want, nil)
	}
	if got != string(want) {
		t.Errorf("the verdicts are\n%snot what %s has", got, golden)
	}
}

func pageSize(t *testing.T, vmlinux string) uint64 {
	t.Helper()
	img, err := symbols.Open(vmlinux, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	return 1 << img.Arch().Paging.PageShift
}

// verdicts judges a report on leaklab, and says what it has about each plant,
// without addresses, and with sizes such that pages may have any.
func verdicts(t *testing.T, rep *report.Report, plants []guests.Plant, page uint64) string {
	t.Helper()
	size := func(n uint64) string {
		if n >= page {
			return fmt.Sprintf("%d pages", n/page)
		}
		return fmt.Sprintf("%d bytes", n)
	}
	var out strings.Builder
	blamed := 0
	for _, p := range plants {
		if !p.Leak {
			for i := range rep.Orphans {
				// A leak is never given the memory of what was freed.
				if o := &rep.Orphans[i]; p.Overlaps(uint64(o.Address), o.Size) {
					t.Errorf("%s lives, but is reported:\n%s", p.Name, record(o))
				}
			}
			fmt.Fprintf(&out, "live %s, %s\n", p.Name, size(p.Size))
			continue
		}
		i := slices.IndexFunc(rep.Orphans, func(o report.Orphan) bool { return uint64(o.Address) == p.Addr })
		if i < 0 {
			t.Errorf("%s leaked at %#x: not reported", p.Name, p.Addr)
			continue
		}
		o := &rep.Orphans[i]
		blamed++
		var trace []string
		planted := false
		for _, f := range o.Backtrace {
			trace = append(trace, f.Symbol)
			planted = planted || f.Symbol == p.Func()
		}
		if p.Size != o.Size || p.Comm != o.Comm || p.PID != o.PID || !planted {
			t.Errorf("%s (%d bytes by %s[%d]) is reported as:\n%s", p.Name, p.Size, p.Comm, p.PID, record(o))
		}
		fmt.Fprintf(&out, "leak %s, %s, %s, %s[%d], %s\n", p.Name, size(o.Size), o.Kind, o.Comm, o.PID, strings.Join(trace, " < "))
	}
	if blamed != len(rep.Orphans) || blamed == 0 {
		t.Errorf("%d orphans are reported, of which %d were planted", len(rep.Orphans), blamed)
	}
	t.Logf("%d leaks found, %d entries, scan of %.1f ms", blamed, rep.Liveness.Entries, rep.Scan.PausedMS)
	return out.String()
}
