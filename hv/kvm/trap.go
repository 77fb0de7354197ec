//go:build linux && amd64

package kvm

import (
	gokvm "github.com/bobuhiro11/gokvm/kvm"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// hit handles a vCPU that stands at a trap.
func (r *runner) hit(s *site) error {
	r.state.RIP = s.at
	if s.patcher != 0 {
		return r.beginQuiet(s)
	}
	t := &r.m.tracer
	for _, p := range s.entries {
		h := &t.plan.Hooks[p.hook]
		rec := t.record(r.id)
		rec.entry(&r.state, h, p, t.fetcher, t.stackSize)
		if h.Array.When == hv.ArrayAtExit {
			t.openArray(openKey{p.hook, r.state.RSP}, arrayCall{argument(&rec.ev, h.Array.Pointer), argument(&rec.ev, h.Array.Count)})
		}
		if err := r.push(rec, h.Sync); err != nil {
			return err
		}
	}
	if s.exit != exitNone && (s.step || s.ops[0].leaves(&r.state)) {
		rec := t.record(r.id)
		rec.ev = hv.Event{Kind: hv.Exit, Hook: s.exit, PC: guestmem.GVA(s.at), SP: guestmem.GVA(r.state.RSP), Result: r.state.RAX, VCPU: r.id}
		for _, hook := range s.atExit {
			if call, ok := t.closeArray(openKey{hook, r.state.RSP}); ok {
				rec.array(&r.state, call.pointer, min(r.state.RAX, call.count))
			}
		}
		if err := r.push(rec, false); err != nil {
			return err
		}
	}
	if !s.step && r.perform(s) {
		return nil
	}
	return r.step(s)
}

// perform does what the displaced instructions do, if it can.
func (r *runner) perform(s *site) bool {
	saved := *r.state.Regs
	at := s.at
	for i := range s.ops {
		o := &s.ops[i]
		left := o.leaves(&r.state)
		next, err := o.perform(&r.state, at)
		if err != nil {
			*r.state.Regs = saved
			return false
		}
		if at = next; left {
			break
		}
	}
	r.state.RIP = at
	r.changed()
	return true
}

// step lets the guest itself execute the displaced instructions, with its own
// text back in place and all other vCPUs standing still.
func (r *runner) step(s *site) error {
	if err := r.leaveTrap(); err != nil {
		return err
	}
	return r.alone(func() error {
		s.text.write(s.orig[:len(s.armed)])
		defer func() {
			// Not if the guest has just changed its text there.
			if current := s.text.read(len(s.armed)); string(current) == string(s.orig[:len(s.armed)]) && r.m.tracer.site(s.at) == s {
				s.text.write(s.armed)
			}
		}()
		return r.stepOut(s.at, max(s.length, 1))
	})
}

// leaveTrap finishes a trap after which rip shall stay where the trap is. KVM
// takes an unchanged rip for an "out" that is still to be passed.
func (r *runner) leaveTrap() error {
	if r.m.caps.Trap == TrapOut && !r.m.caps.FinishIO {
		regs := *r.state.Regs
		if err := r.finish(); err != nil {
			return err
		}
		if err := r.load(); err != nil {
			return err
		}
		*r.state.Regs = regs
	}
	r.changed() // rip
	return nil
}

// stepOut steps until the vCPU has left [at, at+n).
func (r *runner) stepOut(at, n uint64) error {
	old := r.debug
	d := stepping(r.m.caps.Trap)
	d.control |= debugBlockIRQ
	if err := r.setStep(d); err != nil {
		// Before Linux 5.15; a handler of the guest's may then run first,
		// whose own hooks are not missed.
		d.control &^= debugBlockIRQ
	}
	for first := true; ; first = false {
		if !first {
			if err := r.load(); err != nil {
				return err
			}
			if r.state.RIP-at >= n {
				return r.setDebug(old)
			}
		}
		if err := r.setStep(d); err != nil {
			return err
		}
		x, err := r.enter()
		if err != nil {
			return err
		}
		switch x {
		case gokvm.EXITDEBUG:
		case exitInterrupted:
			r.run.immediateExit = 0 // somebody wants a pause: after the step
		default:
			if err := r.device(x); err != nil {
				return err
			}
		}
	}
}

// push puts an event into the queue. With hold set it returns when the event
// was handled.
func (r *runner) push(rec *record, hold bool) error {
	t := &r.m.tracer
	rec.ev.VCPU = r.id
	if ring := t.ring.Load(); ring != nil {
		rec.after = ring.head.Load()
	}
	if hold {
		rec.done = make(chan struct{})
	}
	done := rec.done // rec is the deliverer's from here on
	queued := false
	select {
	case t.queue <- rec:
		queued = true
		if !hold {
			return nil
		}
	default:
	}
	going := r.standing(func() {
		if !queued {
			select {
			case t.queue <- rec:
			case <-t.closed:
				return
			}
		}
		if hold {
			select {
			case <-done:
			case <-t.closed:
			}
		}
	})
	if !going {
		return errClosing
	}
	return nil
}
