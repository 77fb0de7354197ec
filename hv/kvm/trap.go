//go:build linux && amd64

package kvm

import (
	"context"
	"errors"
	"fmt"
	"maps"

	gokvm "github.com/bobuhiro11/gokvm/kvm"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// entryCode is how much code KernelEntered gets.
const entryCode = 64

// maxEntrySteps bounds the way from the kernel's first instruction to its
// first one at its own addresses. Linux 6.1 takes some ten thousand.
const maxEntrySteps = 8 << 20

// enterKernel brings the guest to the first instruction at the kernel's own
// addresses, and sets the hooks there. A compressed kernel's decompressor runs
// at full speed to its last jump; from there the guest is stepped, because
// with KASLR nobody knows where it will go.
func (r *runner) enterKernel() error {
	m := r.m
	if m.start.jumpN > 0 {
		if err := r.decompress(); err != nil {
			return err
		}
	}
	if err := r.setDebug(stepping(m.caps.Trap)); err != nil {
		return err
	}
	for range maxEntrySteps {
		if !r.gate() {
			return errClosing
		}
		if err := r.load(); err != nil {
			return err
		}
		if r.state.RIP >= m.arch.Linux.Text {
			return r.entered()
		}
		x, err := r.enter()
		if err != nil {
			return err
		}
		if x != gokvm.EXITDEBUG {
			if err := r.device(x); err != nil {
				return err
			}
		}
	}
	return &hv.ExitError{Reason: fmt.Sprintf("the kernel did not reach its own addresses within %d instructions", maxEntrySteps)}
}

// decompress runs the guest up to the decompressor's last jump, and does it.
func (r *runner) decompress() error {
	m := r.m
	trap := m.caps.Trap
	code := trap.code()
	if len(code) == 0 || len(code) > m.start.jumpN {
		return fmt.Errorf("kvm: %w: a compressed kernel cannot be followed with hardware breakpoints only; give the uncompressed vmlinux as the kernel instead", ErrUnsupported)
	}
	if err := m.vm.ram.put(guestmem.GPA(m.start.jump), code); err != nil {
		return err
	}
	if err := r.setDebug(trapDebug(trap)); err != nil {
		return err
	}
	for r.gate() {
		x, err := r.enter()
		if err != nil {
			return err
		}
		if !isTrap(r.vcpu, x, trap) {
			if err := r.device(x); err != nil {
				return err
			}
			continue
		}
		if trap == TrapOut && m.caps.FinishIO {
			if err := r.finish(); err != nil {
				return err
			}
		}
		if err := r.load(); err != nil {
			return err
		}
		m.cfg.Logger.Debug("kernel decompressed", "entry", fmt.Sprintf("%#x", r.state.RAX))
		r.state.RIP = r.state.RAX
		r.changed()
		return nil
	}
	return errClosing
}

// entered asks the handler what to hook, and sets the hooks.
func (r *runner) entered() error {
	t := &r.m.tracer
	q := &entryRequest{pc: guestmem.GVA(r.state.RIP), code: r.codeAt(r.state.RIP, entryCode), done: make(chan error, 1)}
	var err error
	if !r.standing(func() {
		select {
		case t.entered <- q:
			select {
			case err = <-q.done:
			case <-t.closed:
			}
		case <-t.closed:
		}
	}) {
		return errClosing
	}
	if err != nil {
		return err
	}
	if err := r.load(); err != nil {
		return err
	}
	return r.alone(func() error { return r.rearm(nil) })
}

// rearm sets all hooks anew. The guest's text must be its own; all other vCPUs
// stand still. done is a patcher that has run.
func (r *runner) rearm(done *quietCall) error {
	m := r.m
	t := &m.tracer
	if done != nil {
		t.patched[done.patcher] = true
	}
	p := planner{plan: t.plan, ram: m.vm.ram, space: r.state.space, trap: m.caps.Trap, gone: t.gone, again: t.sites.Load() != nil}
	ring, err := r.openRing()
	if err != nil {
		return err
	}
	if ring != nil {
		p.stubs = newStubSet(ring.layout, ring.context, t.stackSize, len(*ring.stubs.Load()))
	}
	sites, err := p.sites(t.patched)
	if err != nil {
		return err
	}
	if ring != nil {
		ring.install(p.stubs)
		t.inRing.Store(int32(len(p.stubs.stubs)))
		t.inText.Store(int32(len(sites)))
		if len(p.stubs.stubs) == 0 && m.cfg.Hook == HookRing {
			return fmt.Errorf("kvm: no ring probe could be set in the %d places to hook", len(sites))
		}
	}
	sites.arm()
	t.sites.Store(&sites)
	var addrs []uint64
	if m.caps.Trap == TrapHardware {
		for at := range sites {
			addrs = append(addrs, at)
		}
	}
	t.watched.Store(&addrs)
	for _, other := range m.cpus {
		if err := other.setDebug(t.debug(m.caps.Trap)); err != nil {
			return err
		}
	}
	m.cfg.Logger.Debug("hooks set", "sites", len(sites), "how", m.Mechanism())
	return nil
}

// openRing returns the ring, which it makes once the guest's own patching is
// over; nil where there is none.
func (r *runner) openRing() (*ring, error) {
	m := r.m
	t := &m.tracer
	if ring := t.ring.Load(); ring != nil {
		return ring, nil
	}
	if m.cfg.Hook == HookTrap || t.ringErr != nil || len(t.plan.Hooks) == 0 {
		return nil, nil
	}
	for _, p := range t.plan.Patchers {
		if !t.patched[p] {
			return nil, nil
		}
	}
	ring, err := m.makeRing(&r.state)
	if err != nil {
		if m.cfg.Hook == HookRing {
			return nil, fmt.Errorf("kvm: no ring probes: %w", err)
		}
		t.ringErr = err
		m.cfg.Logger.Warn("no ring probes: each event is an exit", "error", err)
		return nil, nil
	}
	t.ring.Store(ring)
	return ring, nil
}

func (m *Machine) makeRing(s *state) (*ring, error) {
	context, err := newStubContext(m.tracer.plan.Context, m.tracer.plan.TaskStack)
	if err != nil {
		return nil, err
	}
	mem, err := m.vm.addOwn(ringGPA, ringPages(m.cfg.ringPages)*largePage)
	if err != nil {
		return nil, err
	}
	layout, err := s.mapRing(uint64(m.tracer.plan.Hooks[0].Entry), m.cfg.ringPages)
	if err != nil {
		return nil, err
	}
	return newRing(layout, context, mem), nil
}

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
	if err := r.setDebug(d); err != nil {
		// Before Linux 5.15; a handler of the guest's may then run first,
		// whose own hooks are not missed.
		d.control &^= debugBlockIRQ
		if err := r.setDebug(d); err != nil {
			return err
		}
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

// verify looks whether the guest has overwritten hooks, counts what may have
// been missed, and sets them again.
func (m *Machine) verify(ctx context.Context) error {
	t := &m.tracer
	sites := t.sites.Load()
	if sites == nil || len(sites.overwritten()) == 0 {
		return nil
	}
	if err := m.stop(ctx, nil); err != nil {
		return err
	}
	defer m.release()
	if sites = t.sites.Load(); sites == nil {
		return nil
	}
	var lost []*site
	for _, s := range sites.overwritten() {
		if s.poisoned() {
			m.cfg.Logger.Debug("the guest has given back the memory of a hook", "site", fmt.Sprintf("%#x", s.at))
			left := maps.Clone(*sites)
			delete(left, s.at)
			sites = &left
			t.sites.Store(sites)
			for _, p := range s.entries {
				t.gone[uint64(p.entry)] = true
			}
			continue
		}
		lost = append(lost, s)
	}
	if len(lost) == 0 {
		return nil
	}
	t.lost.Add(uint64(len(lost)))
	m.cfg.Logger.Warn("the guest has overwritten hooks: events may be lost", "sites", len(lost), "first", fmt.Sprintf("%#x", lost[0].at), "code", fmt.Sprintf("% x", lost[0].text.read(8)))
	sites.disarm()
	var errs error
	for _, r := range m.cpus {
		// Any vCPU that runs the kernel has page tables with its text.
		err := r.load()
		if err == nil {
			err = r.rearm(nil)
		}
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, err)
	}
	return errs
}
