//go:build linux && amd64

package kvm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

const (
	// checkEvery is how often the hooks are looked after.
	checkEvery = 100 * time.Millisecond
	// The ring is looked at this often at most and at least.
	pollMin = 500 * time.Microsecond
	pollMax = 8 * time.Millisecond
	// retryEvery is how often a record is looked at that a vCPU is writing.
	retryEvery = 20 * time.Microsecond
	// pumpEvents is how many events are delivered between two looks at what
	// else is to be done.
	pumpEvents = 512
	// maxTables bounds the descriptor tables that are remembered.
	maxTables = 1024
)

// deliverAll hands events to the handler until the guest ends.
func (m *Machine) deliverAll(ctx context.Context, h hv.Handler) error {
	t := &m.tracer
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	timer := time.NewTimer(pollMax)
	defer timer.Stop()
	now := make(chan time.Time)
	close(now)
	for wait := pollMin; ; {
		seq := t.seq
		busy, err := m.pump(h)
		if err != nil {
			return err
		}
		queue, poll := t.queue, (<-chan time.Time)(now)
		switch {
		case t.next != nil: // not before a record that is being written
			queue = nil
			timer.Reset(retryEvery)
			poll = timer.C
		case busy:
		case t.ring.Load() == nil:
			poll = nil
		default:
			if wait = min(2*wait, pollMax); t.seq != seq {
				wait = pollMin
			}
			timer.Reset(wait)
			poll = timer.C
		}
		select {
		case t.next = <-queue:
		case <-poll:
		case q := <-t.entered:
			err = m.prepare(h, q)
		case i := <-t.interrupts:
			err = m.serve(h, i)
		case <-tick.C:
			m.ports.flush()
			err = m.verify(ctx)
		case <-t.ended:
			return m.outcome(ctx, h)
		case <-ctx.Done():
			cause := fmt.Errorf("kvm: %w", context.Cause(ctx))
			if err := m.stop(context.WithoutCancel(ctx), nil); err != nil {
				return errors.Join(cause, err)
			}
			return errors.Join(cause, m.drain(h))
		}
		if err != nil {
			return err
		}
	}
}

// pump delivers some events in their order, without waiting for any. It says
// whether there may be more at once.
//
// The order is that of the ring. An event from the queue knows how much of the
// ring was reserved when it was made: what lies before that comes first. The
// queue is looked at after a record was seen complete, so whatever that record
// could depend on is in the queue by then.
func (m *Machine) pump(h hv.Handler) (busy bool, err error) {
	t := &m.tracer
	for range pumpEvents {
		ring := t.ring.Load()
		var record []byte
		var what *stub
		if ring != nil {
			if record, what, err = t.reader.peek(ring); err != nil {
				t.lost.Add(1)
				return false, err
			}
		}
		if t.next == nil {
			select {
			case t.next = <-t.queue:
			default:
			}
		}
		switch {
		case t.next != nil && (ring == nil || t.next.after <= t.reader.pos):
			err = m.deliver(h)
		case record != nil:
			err = m.deliverRecord(h, record, what)
		default:
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// deliver hands the event that was taken from the queue to the handler. For one
// that holds its vCPU the others stand still as well, and what they have done
// is told first: the handler may look at memory, which must not be ahead of
// what it was told.
func (m *Machine) deliver(h hv.Handler) error {
	t := &m.tracer
	rec := t.next
	t.next = nil
	switch {
	case rec.done == nil || len(m.cpus) == 1:
		return m.hand(h, rec)
	case t.holding:
		t.held = append(t.held, rec)
		return nil
	}
	if err := m.stop(context.Background(), nil); err != nil {
		return err
	}
	defer m.release()
	t.holding, t.held = true, append(t.held[:0], rec)
	err := m.drain(h)
	t.holding = false
	for _, rec := range t.held {
		if err == nil {
			err = m.hand(h, rec)
		}
	}
	return err
}

func (m *Machine) hand(h hv.Handler, rec *record) error {
	t := &m.tracer
	rec.ev.Seq = t.seq
	t.seq++
	err := h.Event(&rec.ev)
	if rec.done != nil {
		close(rec.done)
	}
	t.pool.Put(rec)
	return err
}

// deliverRecord hands the events of a record of the ring to the handler.
func (m *Machine) deliverRecord(h hv.Handler, b []byte, p *stub) error {
	t := &m.tracer
	defer t.reader.advance(b)
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	vcpu, err := m.vcpuOf(word(recGDT))
	if err != nil {
		return err
	}
	ev := &t.event
	if p.site.exit != exitNone {
		*ev = hv.Event{
			Kind: hv.Exit, Hook: p.site.exit, VCPU: vcpu, Seq: t.seq, PC: guestmem.GVA(p.site.at),
			SP: guestmem.GVA(word(recSP)), Result: word(recResult),
		}
		t.seq++
		return h.Event(ev)
	}
	copied := word(recCopied)
	stack := b[recContext+p.context:]
	if copied > uint64(len(stack)) {
		t.lost.Add(1)
		return errDamaged
	}
	for _, e := range p.site.entries {
		n := min(uint64(max(t.plan.Hooks[e.hook].StackBytes, 0)), copied)
		*ev = hv.Event{
			Kind: hv.Entry, Hook: e.hook, VCPU: vcpu, Seq: t.seq, PC: e.entry,
			SP: guestmem.GVA(word(recSP)), Return: guestmem.GVA(word(recReturn)), FP: word(recBP),
			Context: b[recContext : recContext+p.context : recContext+p.context], Stack: stack[:n:n],
		}
		for i := range ev.Args {
			ev.Args[i] = word(recArgs + 8*i)
		}
		t.seq++
		if err := h.Event(ev); err != nil {
			return err
		}
	}
	return nil
}

// vcpuOf tells which vCPU has its descriptor table at an address. A new
// address is looked for among the vCPUs, which stand still meanwhile.
func (m *Machine) vcpuOf(table uint64) (int, error) {
	t := &m.tracer
	if id, ok := t.gdts[table]; ok || len(m.cpus) == 1 {
		return id, nil
	}
	if len(t.gdts) >= maxTables {
		return 0, nil
	}
	if err := m.stop(context.Background(), nil); err != nil {
		return 0, err
	}
	defer m.release()
	t.gdts[table] = 0 // of one that has a new table by now
	for _, r := range m.cpus {
		s, err := r.sregs()
		if err != nil {
			return 0, err
		}
		t.gdts[s.GDT.Base] = r.id
	}
	return t.gdts[table], nil
}

// drain delivers all that has happened. The guest stands still.
func (m *Machine) drain(h hv.Handler) error {
	t := &m.tracer
	for {
		busy, err := m.pump(h)
		switch {
		case err != nil:
			return err
		case busy:
			continue
		}
		// Only a vCPU that died in a stub leaves a record unfinished.
		if ring := t.ring.Load(); ring != nil && ring.head.Load() != t.reader.pos && !t.cut {
			t.cut = true
			t.lost.Add(1)
		}
		if t.next == nil {
			return nil
		}
		if err := m.deliver(h); err != nil {
			return err
		}
	}
}
