//go:build linux && amd64

package kvm

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

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
		p.stubs = newStubSet(ring.layout, ring.context, t.stackSize, ring.used, len(*ring.stubs.Load()))
	}
	sites, err := p.sites(t.patched)
	if errors.Is(err, errStubs) {
		p.stubs = nil
		sites, err = p.sites(t.patched)
	}
	if err != nil {
		return err
	}
	t.inRing.Store(0)
	if p.stubs != nil {
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
		for at, s := range sites {
			if len(s.armed) == 0 {
				addrs = append(addrs, at)
			}
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
