//go:build linux && amd64

package kvm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// queueLength is how many events may wait for the handler.
const queueLength = 4096

// tracer is what Run and the vCPUs have in common.
type tracer struct {
	started atomic.Bool
	running sync.WaitGroup // Run
	ran     chan struct{}  // closed when Run has returned
	closed  chan struct{}  // by Close

	entered    chan *entryRequest
	queue      chan *record
	interrupts chan *interrupt
	ended      chan struct{} // closed when a vCPU has ended
	endOnce    sync.Once
	endErr     error // why, valid once ended is closed

	// Set before the first hook is, and read-only from then on.
	plan      *hv.Plan
	fetcher   *fetcher
	stackSize uint64

	sites   atomic.Pointer[siteMap]
	watched atomic.Pointer[[]uint64] // addresses in debug registers
	patched map[guestmem.GVA]bool    // patchers that have run; with all vCPUs standing still
	gone    map[uint64]bool          // functions whose memory was given back, by entry; likewise
	lost    atomic.Uint64
	pool    sync.Pool

	// What Run's goroutine has.
	seq     uint64
	next    *record   // taken from the queue, not delivered
	holding bool      // all stand still for events that hold their vCPUs
	held    []*record // these
	reader  reader
	cut     bool           // a record will never be finished
	event   hv.Event       // of the ring
	gdts    map[uint64]int // vCPUs by the address of their descriptor table

	ring    atomic.Pointer[ring]
	ringErr error // why there is none; with all vCPUs standing still
	inRing  atomic.Int32
	inText  atomic.Int32 // hooks that are ring probes, and all

	arrayMu sync.Mutex
	arrays  map[openKey]arrayCall
}

// entryRequest asks Run's goroutine to call KernelEntered.
type entryRequest struct {
	pc   guestmem.GVA
	code []byte
	done chan error
}

// interrupt is a call that Run's goroutine is to make.
type interrupt struct {
	ctx   context.Context
	fn    func() error
	after []func() error
	done  chan error
}

func (t *tracer) init() {
	t.ran, t.closed, t.ended = make(chan struct{}), make(chan struct{}), make(chan struct{})
	t.entered = make(chan *entryRequest)
	t.queue = make(chan *record, queueLength)
	t.interrupts = make(chan *interrupt)
	t.gdts = map[uint64]int{}
	t.patched, t.gone = map[guestmem.GVA]bool{}, map[uint64]bool{}
	t.arrays = map[openKey]arrayCall{}
	t.pool.New = func() any { return &record{} }
}

func (t *tracer) end(err error) {
	t.endOnce.Do(func() {
		t.endErr = err
		close(t.ended)
	})
}

// site returns the site whose trap is at an address.
func (t *tracer) site(at uint64) *site {
	if m := t.sites.Load(); m != nil {
		return (*m)[at]
	}
	return nil
}

// debug is the debug setting of a vCPU that runs with hooks.
func (t *tracer) debug(k TrapKind) guestDebug {
	if w := t.watched.Load(); w != nil && len(*w) > 0 {
		return execBreakpoints(k, *w...)
	}
	return trapDebug(k)
}

func (t *tracer) record(vcpu int) *record {
	r := t.pool.Get().(*record)
	r.buf, r.done, r.after = r.buf[:0], nil, 0
	return r
}

func (t *tracer) openArray(k openKey, c arrayCall) {
	t.arrayMu.Lock()
	defer t.arrayMu.Unlock()
	t.arrays[k] = c
}

func (t *tracer) closeArray(k openKey) (arrayCall, bool) {
	t.arrayMu.Lock()
	defer t.arrayMu.Unlock()
	c, ok := t.arrays[k]
	delete(t.arrays, k)
	return c, ok
}

// Lost implements hv.Tracer: hooks that the guest had overwritten before that
// was noticed, each counted once.
func (m *Machine) Lost() uint64 { return m.tracer.lost.Load() }

// Mechanism implements hv.Tracer.
func (m *Machine) Mechanism() string {
	trap := "trap (" + m.caps.Trap.String() + ")"
	if n := m.tracer.inRing.Load(); n > 0 {
		return fmt.Sprintf("KVM ring (%d of %d probes), %s", n, m.tracer.inText.Load(), trap)
	}
	return "KVM " + trap
}

// Run implements hv.Tracer. It can be called once. The guest stands still when
// Run returns: memory and registers can be read until Close.
func (m *Machine) Run(ctx context.Context, h hv.Handler) error {
	t := &m.tracer
	if !t.started.CompareAndSwap(false, true) {
		return errors.New("kvm: Run was called before")
	}
	t.running.Add(1)
	defer t.running.Done()
	defer close(t.ran)
	m.mu.Lock()
	if m.closing {
		m.mu.Unlock()
		return errClosing
	}
	for _, r := range m.cpus {
		m.threads.Add(1)
		go func() {
			defer m.threads.Done()
			r.loop()
		}()
	}
	m.mu.Unlock()
	err := m.deliverAll(ctx, h)
	if stopErr := m.stop(context.WithoutCancel(ctx), nil); err == nil {
		err = stopErr
	}
	m.ports.flush()
	if ring := t.ring.Load(); ring != nil {
		m.cfg.Logger.Debug("ring", "bytes", ring.head.Load(), "vCPUs waited", ring.waits)
	}
	return err
}

// outcome ends Run when a vCPU has ended.
func (m *Machine) outcome(ctx context.Context, h hv.Handler) error {
	if err := m.stop(context.WithoutCancel(ctx), nil); err != nil {
		return err
	}
	if err := m.drain(h); err != nil {
		return err
	}
	var end *endError
	if err := m.tracer.endErr; !errors.As(err, &end) {
		return err
	}
	return nil
}

// prepare calls KernelEntered and takes its plan.
func (m *Machine) prepare(h hv.Handler, q *entryRequest) error {
	plan, err := h.KernelEntered(q.pc, q.code)
	if err == nil {
		err = m.take(plan)
	}
	if err == nil {
		q.done <- nil
	}
	return err // the vCPU that waits is let go by Close
}

// take checks a plan and makes it the tracer's.
func (m *Machine) take(plan *hv.Plan) (err error) {
	t := &m.tracer
	if plan == nil {
		plan = &hv.Plan{}
	}
	t.stackSize = plan.StackSize
	if t.stackSize == 0 {
		t.stackSize = m.arch.Linux.StackSize
	}
	if t.stackSize == 0 || t.stackSize&(t.stackSize-1) != 0 {
		return fmt.Errorf("kvm: a stack size of %d bytes is no power of two", t.stackSize)
	}
	if len(plan.Patchers) > 0 && !m.caps.ExecBreakpoints {
		return fmt.Errorf("kvm: %w: execution breakpoints do not work, by which the guest's patching of its text is followed", ErrUnsupported)
	}
	if t.fetcher, err = newFetcher(plan.Context); err != nil {
		return err
	}
	t.plan = plan
	return nil
}

// Interrupt implements hv.Tracer.
func (m *Machine) Interrupt(ctx context.Context, fn func() error, after ...func() error) error {
	t := &m.tracer
	if !t.started.Load() {
		return fmt.Errorf("kvm: %w", hv.ErrNotRunning)
	}
	i := &interrupt{ctx: ctx, fn: fn, after: after, done: make(chan error, 1)}
	select {
	case t.interrupts <- i:
		return <-i.done
	case <-ctx.Done():
		return fmt.Errorf("kvm: interrupt: %w", ctx.Err())
	case <-t.ran:
		return fmt.Errorf("kvm: %w", hv.ErrNotRunning)
	}
}

// serve does what Interrupt asked for. An error of the handler ends the run as
// well; one of fn does not.
func (m *Machine) serve(h hv.Handler, i *interrupt) error {
	if err := m.stop(i.ctx, nil); err != nil {
		i.done <- err
		return nil
	}
	if err := m.drain(h); err != nil {
		m.release()
		i.done <- err
		return err
	}
	err := i.fn()
	m.release()
	for _, after := range i.after {
		if err == nil {
			err = after()
		}
	}
	i.done <- err
	return nil
}
