package leak

import (
	"context"
	"errors"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
)

var (
	errTimeout = errors.New("the guest's time is up")
	errHalted  = errors.New("the guest does not go on")
)

// grace is how long a guest may take from the moment that ends it to its end:
// one that halts, or panics without panic= on its command line, stays.
const grace = 5 * time.Second

// ask scans at intervals and on demand until ctx is done. It runs beside the
// run's goroutine, to which Interrupt brings each scan.
func (s *Session) ask(ctx context.Context, cancel context.CancelCauseFunc) error {
	every, ending := tick(s.o.ScanEvery), s.ended
	var timeout, halted <-chan time.Time
	defer every.Stop()
	if s.o.Timeout > 0 {
		t := time.NewTimer(s.o.Timeout)
		defer t.Stop()
		timeout = t.C
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			err = s.interrupt(ctx, scanEvery)
		case line := <-s.o.ScanNow:
			err = s.interrupt(ctx, "console: "+line)
		case <-timeout:
			err = s.interrupt(ctx, "timeout")
			cancel(errTimeout)
		case <-ending:
			err = s.interrupt(ctx, scanEnd)
			ending, halted = nil, time.After(grace)
		case <-halted:
			cancel(errHalted)
		}
		if err != nil && ctx.Err() == nil {
			cancel(err)
			return err
		}
	}
}

// Reasons of scans: at intervals, and at the guest's end.
const (
	scanEvery = "interval"
	scanEnd   = "end"
)

// interrupt scans between two events. Before the kernel's C code runs there is
// nothing to scan, at intervals nothing before the kernel has booted. When the
// guest is at its end, the one scan of that is all there is to do.
func (s *Session) interrupt(ctx context.Context, why string) error {
	var memory *guestmem.Snapshot
	if why != scanEnd { // the guest stands still already
		memory = s.rehearse()
	}
	return s.m.Interrupt(ctx, func() error {
		if s.ending != "" {
			return s.last()
		}
		if s.kernel == nil {
			return nil
		}
		if why == scanEvery {
			if up, err := s.kernel.Running(); err == nil && !up {
				return nil
			}
		}
		return s.scan(why, memory)
	}, s.deliver)
}

// tick returns a ticker, one that never ticks for zero.
func tick(every time.Duration) *time.Ticker {
	if every > 0 {
		return time.NewTicker(every)
	}
	t := time.NewTicker(time.Hour)
	t.Stop()
	return t
}
