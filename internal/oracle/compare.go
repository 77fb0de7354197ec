package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/leak"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
)

// scan is one of our judgements.
type scan struct {
	j      *leak.Judgement
	report *report.Report
}

// result is what came of one scenario.
type result struct {
	name     string
	took     []time.Duration // kmemleak's scans
	pause    time.Duration
	objects  int
	theirs   int
	compared []*comparison
}

// ratio is our pause over the mean of kmemleak's scans.
func (r *result) ratio() float64 { return 2 * float64(r.pause) / float64(r.took[0]+r.took[1]) }

// comparison is of one of our judgements.
type comparison struct {
	how     string // we looked
	verdict report.Verdict
	reasons []string
	both    int
	theirs  []difference // reported by kmemleak only
	ours    []difference // by us only
}

// difference is one object that only one of them reports, and why.
type difference struct {
	addr uint64
	what string
	why  string
	// right says that we are right not to report it: it was freed before our
	// pause, or is held from where kmemleak does not look.
	right bool
}

// missed counts what we had to report, and did not.
func (c *comparison) missed() int {
	n := 0
	for _, d := range c.theirs {
		if !d.right {
			n++
		}
	}
	return n
}

// how names the way we looked.
func how(r leak.Roots) string {
	if r.Kmemleak {
		return "looking where kmemleak looks"
	}
	return "looking as we do"
}

// compare compares each of our judgements with kmemleak's.
func (o *oracle) compare(ctx context.Context, name string, console []byte, scans []*scan) (*result, error) {
	theirs, took, err := readConsole(console)
	if err != nil {
		return nil, err
	}
	r := &result{name: name, took: took, theirs: len(theirs)}
	for _, s := range scans {
		if s.report == nil {
			return nil, errors.New("a scan was not reported")
		}
		r.pause = time.Duration(s.report.Scan.PausedMS * float64(time.Millisecond))
		r.objects = int(s.report.Scan.Objects)
		c, err := o.differences(ctx, theirs, s, scans)
		if err != nil {
			return nil, err
		}
		r.compared = append(r.compared, c)
	}
	if len(r.compared) == 0 {
		return nil, errors.New("nothing was scanned")
	}
	return r, nil
}

func (o *oracle) differences(ctx context.Context, theirs []report.Orphan, s *scan, all []*scan) (*comparison, error) {
	e, err := o.explainer(ctx, s.j, all)
	if err != nil {
		return nil, err
	}
	c := &comparison{how: how(s.j.Roots), verdict: s.report.Verdict, reasons: s.report.Reasons}
	reported := map[guestmem.GVA]bool{}
	for i := range theirs {
		t := &theirs[i]
		addr := guestmem.GVA(t.Address)
		reported[addr] = true
		i, ok := e.index[addr]
		if ok && orphan(s.j.Result.States[i]) {
			c.both++
			continue
		}
		d := difference{addr: uint64(addr), what: fmt.Sprintf("%d bytes by %s[%d]%s", t.Size, t.Comm, t.PID, frames(t.Backtrace)), right: true}
		if d.why = "freed before our pause"; ok {
			if d.why, d.right, err = e.why(i); err != nil {
				return nil, err
			}
		}
		c.theirs = append(c.theirs, d)
	}
	for i, state := range s.j.Result.States {
		addr := s.j.Input.Objects[i].Addr
		if !orphan(state) || reported[addr] || s.j.Told(i) {
			continue
		}
		d := difference{addr: uint64(addr), what: e.object(i)}
		if d.why, err = e.whyNotTheirs(i); err != nil {
			return nil, err
		}
		c.ours = append(c.ours, d)
	}
	slices.SortStableFunc(c.ours, func(a, b difference) int { return cmp.Compare(a.why, b.why) })
	return c, nil
}

func orphan(s scanner.State) bool { return s == scanner.Orphan || s == scanner.Unknown }

// frames says who allocated.
func frames(trace []report.Frame) string {
	out := ""
	for _, f := range trace[:min(len(trace), 4)] {
		out += " < " + f.Symbol
	}
	return out
}

// write prints all differences.
func (r *result) write(w io.Writer) {
	fmt.Fprintf(w, "== %s: %d objects, %d reported by kmemleak\n", r.name, r.objects, r.theirs)
	fmt.Fprintf(w, "kmemleak's scans: %.1f and %.1f ms, our pause: %.1f ms, ratio %.3f\n", ms(r.took[0]), ms(r.took[1]), ms(r.pause), r.ratio())
	for _, c := range r.compared {
		fmt.Fprintf(w, "-- %s: verdict %s, %d reported by both, %d by kmemleak only, %d by us only\n", c.how, c.verdict, c.both, len(c.theirs), len(c.ours))
		for _, reason := range c.reasons {
			fmt.Fprintf(w, "   not proven: %s\n", reason)
		}
		for _, d := range c.theirs {
			fmt.Fprintf(w, "   kmemleak only %#x, %s: %s\n", d.addr, d.what, d.why)
		}
		for _, d := range c.ours {
			fmt.Fprintf(w, "   we only %#x, %s: %s\n", d.addr, d.what, d.why)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
