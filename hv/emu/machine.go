package emu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// Config says what to run.
type Config struct {
	Kernel io.ReaderAt // the guest, an ELF file
	Memory uint64      // RAM in bytes; zero for DefaultMemory
	SMP    int         // number of vCPUs; zero for one
	// Console is written to with what the guest prints; nil for nowhere.
	Console io.Writer
	// Turn is how many instructions a vCPU executes before it is another's
	// turn; zero for DefaultTurn.
	Turn int
}

// Defaults of a Config.
const (
	DefaultMemory = 64 << 20
	DefaultTurn   = 20_000
)

// maxVCPUs bounds Config.SMP.
const maxVCPUs = 64

// Machine is a guest in an interpreter. It stands still until Run.
type Machine struct {
	isa    ISA
	bus    *Bus
	breaks *Breaks
	cpus   []vcpu
	turn   int
	trace  tracer

	mu        sync.Mutex
	cond      *sync.Cond
	pauses    int // how many want it to stand still
	executing bool
	running   bool // Run runs
	closing   bool
	asked     []*interrupt
	clock     pauseClock
}

type vcpu struct {
	CPU
	started bool
	over    bool // goes on from a break
}

type interrupt struct {
	fn    func() error
	after []func() error
	done  chan error
}

var (
	_ hv.Machine    = (*Machine)(nil)
	_ hv.Tracer     = (*Machine)(nil)
	_ hv.PauseClock = (*Machine)(nil)
)

// errClosing ends Run at Close.
var errClosing = errors.New("emu: the machine is being closed")

// New loads a guest.
func New(isa ISA, cfg *Config) (*Machine, error) {
	c := *cfg
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.SMP == 0 {
		c.SMP = 1
	}
	if c.Turn == 0 {
		c.Turn = DefaultTurn
	}
	if c.Console == nil {
		c.Console = io.Discard
	}
	switch {
	case c.SMP < 1 || c.SMP > maxVCPUs:
		return nil, fmt.Errorf("emu: %d vCPUs are not between 1 and %d", c.SMP, maxVCPUs)
	case c.Memory > 1<<40:
		return nil, fmt.Errorf("emu: %d bytes of RAM are too many", c.Memory)
	case c.Turn < 1:
		return nil, fmt.Errorf("emu: a turn of %d instructions", c.Turn)
	}
	bus, err := newBus(isa.Arch, isa.RAMBase, c.Memory, c.SMP, c.Console)
	if err != nil {
		return nil, err
	}
	entry, err := loadELF(bus, isa.Arch, c.Kernel)
	if err != nil {
		return nil, err
	}
	m := &Machine{isa: isa, bus: bus, breaks: newBreaks(), turn: c.Turn}
	m.cond = sync.NewCond(&m.mu)
	for i := range c.SMP {
		m.cpus = append(m.cpus, vcpu{CPU: isa.NewCPU(bus, m.breaks, i)})
	}
	m.cpus[0].Start(entry, 0)
	m.cpus[0].started = true
	return m, nil
}

// Arch implements hv.Machine.
func (m *Machine) Arch() *arch.Arch { return m.isa.Arch }

// Memory implements hv.Machine.
func (m *Machine) Memory() guestmem.Physical { return m.bus.ram }

// VCPUs implements hv.Machine.
func (m *Machine) VCPUs() int { return len(m.cpus) }

// Instructions is how many instructions the guest has executed. It must stand
// still.
func (m *Machine) Instructions() uint64 { return m.bus.Instructions }

// Pause implements hv.Machine. Calls nest: the guest runs again when Resume
// was called as often. It may be called from any goroutine.
func (m *Machine) Pause(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.cond.Broadcast()
	})()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop()
	for m.executing {
		if err := ctx.Err(); err != nil {
			m.release()
			return fmt.Errorf("emu: pause: %w", err)
		}
		m.cond.Wait()
	}
	return nil
}

// Resume implements hv.Machine; see Pause.
func (m *Machine) Resume(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release()
	return nil
}

// stop makes the guest stand still soon. mu is held.
func (m *Machine) stop() {
	if m.pauses++; m.pauses == 1 {
		m.clock.start = time.Now()
	}
}

// release undoes stop. mu is held.
func (m *Machine) release() {
	if m.pauses == 0 {
		return
	}
	if m.pauses--; m.pauses == 0 {
		m.clock.over += time.Since(m.clock.start)
	}
	m.cond.Broadcast()
}

type pauseClock struct {
	over  time.Duration
	start time.Time
}

// Paused implements hv.PauseClock.
func (m *Machine) Paused() (over, present time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pauses > 0 {
		present = time.Since(m.clock.start)
	}
	return m.clock.over, present
}

// Registers implements hv.Machine. The guest must be paused, not yet run, or
// have ended.
func (m *Machine) Registers(_ context.Context, vcpu int) (map[string]uint64, error) {
	if vcpu < 0 || vcpu >= len(m.cpus) {
		return nil, fmt.Errorf("emu: there is no vCPU %d", vcpu)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closing:
		return nil, fmt.Errorf("emu: %w", hv.ErrGuestGone)
	case m.executing:
		return nil, errors.New("emu: registers of a running guest")
	}
	out := map[string]uint64{}
	for _, r := range m.isa.Arch.Regs {
		if v, ok := m.cpus[vcpu].Register(r.Name); ok {
			out[r.Name] = v
		}
	}
	return out, nil
}

// Close implements hv.Machine. It may not be called by a Handler.
func (m *Machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closing = true
	m.cond.Broadcast()
	for m.running {
		m.cond.Wait()
	}
	return nil
}
