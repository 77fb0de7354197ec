//go:build linux && amd64

package kvm

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// quietCall is a patcher that runs with all hooks out.
type quietCall struct {
	patcher guestmem.GVA
	ret, sp uint64
}

// beginQuiet takes all hooks out until the patcher that starts at s returns.
func (r *runner) beginQuiet(s *site) error {
	ret, err := r.state.word(r.state.RSP)
	if err != nil {
		return fmt.Errorf("kvm: the return address of the text's patcher at %#x: %w", s.at, err)
	}
	if err := r.leaveTrap(); err != nil {
		return err
	}
	return r.alone(func() error {
		t := &r.m.tracer
		if sites := t.sites.Load(); sites != nil {
			sites.disarm()
		}
		none := siteMap{}
		t.sites.Store(&none)
		t.watched.Store(&[]uint64{})
		r.quiet = &quietCall{patcher: s.patcher, ret: ret, sp: r.state.RSP}
		r.m.cfg.Logger.Debug("hooks taken out for the text's patcher", "patcher", fmt.Sprintf("%#x", uint64(s.patcher)), "return", fmt.Sprintf("%#x", ret))
		return r.setDebug(execBreakpoints(r.m.caps.Trap, ret))
	})
}

func (r *runner) endQuiet() error {
	q := r.quiet
	return r.alone(func() error {
		r.quiet = nil
		return r.rearm(q)
	})
}

// stepOver passes a breakpoint that is not the one that was waited for.
func (r *runner) stepOver(q *quietCall) error {
	return r.alone(func() error {
		if err := r.stepOut(q.ret, 1); err != nil {
			return err
		}
		return r.setDebug(execBreakpoints(r.m.caps.Trap, q.ret))
	})
}
