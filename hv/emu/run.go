package emu

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// entryCode is how much of the kernel's first code its Handler is shown.
const entryCode = 64

// Run implements hv.Tracer.
func (m *Machine) Run(ctx context.Context, h hv.Handler) error {
	m.mu.Lock()
	if m.running {
		m.mu.Unlock()
		return errors.New("emu: the guest is being run already")
	}
	m.running = true
	m.mu.Unlock()
	defer context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.cond.Broadcast()
	})()
	err := m.loop(ctx, h)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = false
	for _, i := range m.asked {
		i.done <- fmt.Errorf("emu: %w", hv.ErrNotRunning)
	}
	m.asked = nil
	m.cond.Broadcast()
	return errors.Join(err, m.bus.flushConsole())
}

// loop lets the vCPUs take turns.
func (m *Machine) loop(ctx context.Context, h hv.Handler) error {
	if m.trace.plan == nil {
		m.breaks.set(nil, m.isa.Arch.Linux.Text)
	}
	for at, idle := 0, 0; ; {
		c := &m.cpus[at]
		if !c.started {
			at = (at + 1) % len(m.cpus)
			continue
		}
		if err := m.gate(ctx); err != nil {
			return err
		}
		stop, err := c.Run(m.turn, c.over)
		c.over = false
		m.leave()
		if err != nil {
			return m.ended(at, err)
		}
		for _, s := range m.bus.starting {
			if t := &m.cpus[s.vcpu]; !t.started {
				t.Start(s.pc, s.sp)
				t.started = true
			}
		}
		m.bus.starting = m.bus.starting[:0]
		if stop == AtBreak {
			c.over = true
			if err := m.passed(h, at); err != nil {
				return err
			}
			idle = 0
			continue
		}
		if stop != Idle {
			idle = 0
		} else if idle++; idle > len(m.cpus) {
			return &hv.ExitError{Reason: fmt.Sprintf("all vCPUs wait for an interrupt, which none will send; vCPU %d at %#x", at, c.PC())}
		}
		at = (at + 1) % len(m.cpus)
	}
}

// gate waits while the guest is paused, and serves those who interrupt it.
func (m *Machine) gate(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		switch {
		case m.closing:
			return errClosing
		case ctx.Err() != nil:
			return fmt.Errorf("emu: %w", context.Cause(ctx))
		case len(m.asked) > 0:
			i := m.asked[0]
			m.asked = m.asked[1:]
			m.stop()
			m.mu.Unlock()
			err := i.fn()
			m.mu.Lock()
			m.release()
			m.mu.Unlock()
			for _, f := range i.after {
				if err == nil {
					err = f()
				}
			}
			i.done <- err
			m.mu.Lock()
		case m.pauses > 0:
			m.cond.Wait()
		default:
			m.executing = true
			return nil
		}
	}
}

// leave tells that the guest stands still.
func (m *Machine) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.executing = false
	if m.pauses > 0 {
		m.cond.Broadcast()
	}
}

// Interrupt implements hv.Tracer.
func (m *Machine) Interrupt(ctx context.Context, fn func() error, after ...func() error) error {
	i := &interrupt{fn, after, make(chan error, 1)}
	m.mu.Lock()
	if !m.running {
		m.mu.Unlock()
		return fmt.Errorf("emu: %w", hv.ErrNotRunning)
	}
	m.asked = append(m.asked, i)
	m.cond.Broadcast()
	m.mu.Unlock()
	select {
	case err := <-i.done:
		return err
	case <-ctx.Done():
	}
	m.mu.Lock()
	at := slices.Index(m.asked, i)
	if at >= 0 {
		m.asked = slices.Delete(m.asked, at, at+1)
	}
	m.mu.Unlock()
	if at < 0 { // it is being served
		return <-i.done
	}
	return fmt.Errorf("emu: interrupt: %w", context.Cause(ctx))
}

// ended is Run's result when vCPU at cannot go on.
func (m *Machine) ended(at int, err error) error {
	var end *endError
	if errors.As(err, &end) {
		if end.code == EndPowerOff || end.code == EndReset {
			return nil
		}
		return &hv.ExitError{Reason: end.Error()}
	}
	return &hv.ExitError{Reason: fmt.Sprintf("vCPU %d at %#x: %v", at, m.cpus[at].PC(), err)}
}

// passed tells of a break that a vCPU stands at.
func (m *Machine) passed(h hv.Handler, at int) error {
	c := &m.cpus[at]
	pc := c.PC()
	if m.trace.plan != nil {
		return m.tell(h, at)
	}
	code := make([]byte, entryCode)
	n := readSome(c.Memory(), guestmem.GVA(pc), code)
	plan, err := h.KernelEntered(guestmem.GVA(pc), code[:n])
	if err != nil {
		return err
	}
	if plan == nil {
		plan = &hv.Plan{}
	}
	breaks, err := m.trace.arm(m.isa.Arch, plan)
	if err != nil {
		return err
	}
	m.breaks.set(breaks, ^uint64(0))
	// The first instruction may be hooked itself.
	c.over = false
	return nil
}
