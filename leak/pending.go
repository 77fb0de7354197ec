package leak

import (
	"errors"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/report"
)

// pending is a report to which source lines are still to be added.
type pending struct {
	report  *report.Report
	orphans []object // beside report.Orphans
}

// deliver judges the frozen guests and hands out the reports. It is called on
// the run's goroutine while the guest is not paused, and before the tracker is
// told of anything that happened since.
func (s *Session) deliver() error {
	var errs []error
	for _, f := range s.pending {
		for _, from := range s.o.Roots {
			p, err := s.judge(f, from)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			s.addLines(p)
			for i := range p.orphans {
				p.report.Orphans[i].Type = s.typeName(&p.orphans[i])
			}
			if s.o.Report != nil {
				errs = append(errs, s.o.Report(p.report))
			}
		}
	}
	s.pending = nil
	// Run returns it: who asked for the scan may have gone with the guest.
	err := errors.Join(errs...)
	s.unreported = errors.Join(s.unreported, err)
	return err
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
		seq := p.orphans[i].Seq
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
