package leak

import (
	"errors"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/report"
)

// pending is a report whose rest can be done while the guest runs on.
type pending struct {
	report *report.Report
	seqs   []uint64 // event numbers of the allocations of report.Orphans
}

// deliver completes the reports of scans and hands them out. It is called on
// the run's goroutine while the guest is not paused.
func (s *Session) deliver() error {
	var errs []error
	for _, p := range s.pending {
		s.addLines(p)
		if s.o.Report != nil {
			errs = append(errs, s.o.Report(p.report))
		}
	}
	s.pending = nil
	return errors.Join(errs...)
}

// line is where in the source an address is.
type line struct {
	file string
	line int
}

// addLines adds source lines to backtraces. Most frames are shared by many.
func (s *Session) addLines(p pending) {
	type place struct {
		pc      guestmem.GVA
		modules int // that had come and gone by then
	}
	known := map[place]line{}
	for i := range p.report.Orphans {
		o := &p.report.Orphans[i]
		seq := p.seqs[i]
		for k := range o.Backtrace {
			f := &o.Backtrace[k]
			pc := guestmem.GVA(f.Addr)
			if k > 0 {
				pc-- // a return address: the call is before it
			}
			at := place{pc, s.rules.changes(seq)}
			l, ok := known[at]
			if !ok {
				l.file, l.line, _ = s.space.LineOf(pc, seq)
				known[at] = l
			}
			f.File, f.Line = l.file, l.line
		}
	}
}
