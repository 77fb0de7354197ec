package qemu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

const (
	runNew = iota
	runActive
	runOver
)

// interrupt is a request to Run's goroutine.
type interrupt struct {
	ctx   context.Context
	fn    func() error
	after []func() error
	done  chan error
}

// runner is the state of one Run.
type runner struct {
	*Machine
	h    hv.Handler
	ev   hv.Event
	seq  [maxVCPUs]uint64 // next record of each vCPU
	plan *hv.Plan
	pos  uint64 // ring position behind what was delivered
}

// Run implements hv.Tracer. It can be called once. The guest is stopped when
// Run returns, unless it is gone, and everything that happened before has
// been delivered (unless the handler erred): memory and registers can be
// read until Close.
func (m *Machine) Run(ctx context.Context, h hv.Handler) error {
	if !m.runState.CompareAndSwap(runNew, runActive) {
		return errors.New("qemu: Run was called before")
	}
	defer m.runState.Store(runOver)
	defer close(m.runEnded)
	r := &runner{Machine: m, h: h}
	err := r.run(ctx)
	if err != nil && !isClosed(m.stopped) && !m.proc.exited() {
		// The guest's state now is what the caller wants to look at.
		m.rest(ctx)
	}
	m.flushConsole()
	return err
}

// rest stops the guest after a Run that did not end with the guest.
func (m *Machine) rest(ctx context.Context) {
	m.abandon()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := m.Pause(ctx); err != nil {
		m.cfg.Logger.Warn("the guest could not be stopped at the end", "error", err)
	}
}

// abandon lets a vCPU go that waits, or will wait, for the plan: it gets an
// empty one. While it waits the guest cannot be stopped.
func (m *Machine) abandon() {
	if m.shared.ctl.phase.Swap(phaseArmed) != phaseArmed {
		m.shared.wake()
	}
}

func (r *runner) run(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	for {
		err := r.deliver(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return r.cancelled(ctx)
		default:
		}
		select {
		case <-r.drain.ready:
		case <-r.entered:
			err = r.arm()
		case req := <-r.interrupts:
			err = r.serve(req)
		case <-r.stopped:
			if err := r.barrier(ctx); err != nil {
				return err
			}
			return r.outcome()
		case <-r.drain.done:
			// QEMU has ended, or the ring is damaged.
			if err := r.deliver(ctx); err != nil {
				return err
			}
			<-r.proc.done
			return r.gone()
		case <-ctx.Done():
			return r.cancelled(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// start lets the guest go for the first time, unless it was paused before.
func (r *runner) start(ctx context.Context) error {
	p := &r.pause
	if err := p.lock(ctx); err != nil {
		return fmt.Errorf("qemu: %w", err)
	}
	defer p.unlock()
	if p.depth > 0 {
		return nil
	}
	return r.startVCPUs(ctx)
}

// cancelled ends a run whose context is done: what happened before the guest
// stopped is still delivered.
func (r *runner) cancelled(ctx context.Context) error {
	cause := fmt.Errorf("qemu: %w", context.Cause(ctx))
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	r.abandon()
	if err := r.Pause(after); err != nil {
		return errors.Join(cause, err)
	}
	if err := r.barrier(after); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// arm asks the handler what to hook and lets the waiting vCPU go.
func (r *runner) arm() error {
	if err := errors.Join(r.checkRegisters(), r.checkWindows()); err != nil {
		return err
	}
	ctl := r.shared.ctl
	pc := guestmem.GVA(ctl.enteredPC)
	code := make([]byte, min(int(ctl.codeLen), len(ctl.code)))
	copy(code, ctl.code[:])
	plan, err := r.h.KernelEntered(pc, code)
	if err != nil {
		return err
	}
	if plan == nil {
		ctl.phase.Store(phaseBoot)
		ctl.refused.Add(1)
		r.shared.wake()
		return nil
	}
	compiled, err := compilePlan(r.cfg.Arch, plan)
	if err != nil {
		return err
	}
	if err := compiled.write(r.shared.plan); err != nil {
		return err
	}
	r.plan = plan
	ctl.phase.Store(phaseArmed)
	r.shared.wake()
	return nil
}

// deliver hands all events that are in the queue to the handler.
func (r *runner) deliver(ctx context.Context) error {
	for {
		c, ok, err := r.drain.pop()
		if !ok || err != nil {
			return err
		}
		for data := c.data; len(data) > 0; {
			meta, err := parseRecord(data, &r.ev)
			if err != nil {
				return err
			}
			data = data[meta.size:]
			if err := r.event(ctx, meta); err != nil {
				return err
			}
		}
		r.pos = c.end
		r.drain.recycle(c)
	}
}

// event checks and delivers the event in r.ev.
func (r *runner) event(ctx context.Context, meta recordMeta) error {
	ev := &r.ev
	if r.plan == nil || ev.VCPU >= r.cfg.SMP || ev.Hook < -1 || ev.Hook >= len(r.plan.Hooks) || (ev.Hook < 0 && ev.Kind == hv.Entry) {
		return errRecord
	}
	if meta.seq != r.seq[ev.VCPU] {
		return fmt.Errorf("qemu: event %d of vCPU %d came in place of event %d", meta.seq, ev.VCPU, r.seq[ev.VCPU])
	}
	r.seq[ev.VCPU]++
	ev.Seq = r.delivered.Add(1) - 1
	err := r.h.Event(ev)
	if meta.sync {
		// Also after an error, so that the guest can be stopped.
		err = errors.Join(err, r.releaseHold(context.WithoutCancel(ctx), ev.VCPU, meta.hold))
	}
	return err
}

// barrier delivers everything that happened up to now. The guest must be
// stopped.
func (r *runner) barrier(ctx context.Context) error {
	target := r.shared.ctl.head.Load()
	for {
		if err := r.deliver(ctx); err != nil || r.pos >= target {
			return err
		}
		r.drain.nudge()
		select {
		case <-r.drain.ready:
		case <-r.drain.done:
			if err := r.deliver(ctx); err != nil {
				return err
			}
			return r.gone()
		case <-ctx.Done():
			return fmt.Errorf("qemu: %w", ctx.Err())
		}
	}
}

// Interrupt implements hv.Tracer.
func (m *Machine) Interrupt(ctx context.Context, fn func() error, after ...func() error) error {
	if m.runState.Load() == runNew {
		return fmt.Errorf("qemu: %w", hv.ErrNotRunning)
	}
	req := &interrupt{ctx: ctx, fn: fn, after: after, done: make(chan error, 1)}
	select {
	case m.interrupts <- req:
		return <-req.done
	case <-ctx.Done():
		return fmt.Errorf("qemu: interrupt: %w", ctx.Err())
	case <-m.runEnded:
		return fmt.Errorf("qemu: %w", hv.ErrNotRunning)
	}
}

// serve does what Interrupt asked for. An error of the handler or of the
// machine ends the run as well; one of fn does not.
func (r *runner) serve(req *interrupt) error {
	if err, armErr := r.pauseAndArm(req.ctx); err != nil || armErr != nil {
		req.done <- errors.Join(err, armErr)
		if armErr == nil && (req.ctx.Err() != nil || r.proc.exited()) {
			return nil // the loop sees what has ended
		}
		return errors.Join(err, armErr)
	}
	err := r.barrier(req.ctx)
	if err != nil && req.ctx.Err() == nil {
		req.done <- err
		return err
	}
	if err == nil {
		err = req.fn()
	}
	resumed := r.Resume(context.WithoutCancel(req.ctx))
	for _, after := range req.after {
		if err == nil {
			err = after()
		}
	}
	req.done <- errors.Join(err, resumed)
	return resumed
}

// pauseAndArm pauses the guest from Run's goroutine. A vCPU that enters the
// kernel meanwhile stands still until it gets its plan, so that is made here.
func (r *runner) pauseAndArm(ctx context.Context) (pauseErr, armErr error) {
	paused := make(chan error, 1)
	go func() { paused <- r.Pause(ctx) }()
	for {
		select {
		case err := <-paused:
			return err, armErr
		case <-r.entered:
			if armErr = r.arm(); armErr != nil {
				r.abandon()
			}
		}
	}
}

// flushConsole waits a moment for what the guest has written already.
func (m *Machine) flushConsole() {
	for range 50 {
		if pending(m.console) == 0 || isClosed(m.consoleDone) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}
