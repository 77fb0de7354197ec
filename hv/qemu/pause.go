package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/leakvisor/leakvisor/hv"
)

// How a pause works.
//
// QEMU's main loop stops the machine: it asks each vCPU to leave at the end
// of its translation block, and then does nothing until all have. A vCPU that
// stands in a Sync hold would never leave, so it must be let out, but only
// after it was asked: else it would run on past the hook. The gdb stub makes
// that order visible. Its interrupt byte is read and acted on by the main
// loop itself; when the byte has been read from the socket and the main
// thread sleeps again, the vCPUs have been asked.
//
// A vCPU that left a hold in this way has "broken" it: it stands at most one
// block behind the hook, but its event was perhaps not handled yet. The
// guest does not run again before it was: Resume then takes effect when Run
// has delivered the event.

// pauseState is guarded by sem.
type pauseState struct {
	sem        chan struct{}
	depth      int       // Pause calls that Resume did not match yet
	wantResume bool      // resume once no hold is broken any more
	since      time.Time // of the present pause; zero when there is none
	over       time.Duration
}

var _ hv.PauseClock = (*Machine)(nil)

// Paused implements hv.PauseClock.
func (m *Machine) Paused() (over, present time.Duration) {
	p := &m.pause
	_ = p.lock(context.Background())
	defer p.unlock()
	if !p.since.IsZero() {
		present = time.Since(p.since)
	}
	return p.over, present
}

// began and ended keep the time of pauses. pause is locked.
func (p *pauseState) began(at time.Time) {
	if p.since.IsZero() {
		p.since = at
	}
}

func (p *pauseState) ended() {
	if !p.since.IsZero() {
		p.over += time.Since(p.since)
		p.since = time.Time{}
	}
}

// stopTimeout bounds a stop; a guest whose kernel was just entered cannot be
// stopped before the handler has made its plan.
const stopTimeout = time.Minute

func (p *pauseState) lock(ctx context.Context) error {
	select {
	case p.sem <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pauseState) unlock() { <-p.sem }

// Pause implements hv.Machine. Calls nest: the guest runs again when Resume
// was called as often. It may be called from any goroutine at any time, but
// not from within Handler.KernelEntered. ctx bounds waiting for other Pause
// calls; the stop itself takes milliseconds.
func (m *Machine) Pause(ctx context.Context) error {
	p := &m.pause
	if err := p.lock(ctx); err != nil {
		return fmt.Errorf("qemu: pause: %w", err)
	}
	defer p.unlock()
	switch {
	case p.depth > 0, isClosed(m.stopped):
	case p.wantResume: // it has not run since
		p.wantResume = false
	default:
		if m.runState.Load() == runNew {
			break // Run has not let it go yet
		}
		// Once asked for, the stop is waited for, else nobody would know
		// whether the guest runs.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		at := time.Now()
		if err := m.stopVCPUs(ctx); err != nil {
			return fmt.Errorf("qemu: pause: %w", err)
		}
		p.began(at)
	}
	p.depth++
	return nil
}

// Resume implements hv.Machine; see Pause. A guest that has ended stays
// stopped.
func (m *Machine) Resume(ctx context.Context) error {
	p := &m.pause
	if err := p.lock(ctx); err != nil {
		return fmt.Errorf("qemu: resume: %w", err)
	}
	defer p.unlock()
	if p.depth == 0 {
		return nil
	}
	p.depth--
	if p.depth > 0 || m.runState.Load() == runNew {
		return nil
	}
	return m.startVCPUs(ctx)
}

// startVCPUs lets the guest run, now or when the last broken hold is mended.
// pause is locked.
func (m *Machine) startVCPUs(ctx context.Context) error {
	m.pause.wantResume = m.shared.brokenHolds()
	if m.pause.wantResume || isClosed(m.stopped) {
		return nil
	}
	if isClosed(m.shutdown) {
		// The guest's end came up while it was paused; QEMU would let it run
		// on behind it.
		m.endMu.Lock()
		m.markStopped()
		m.endMu.Unlock()
		return nil
	}
	if err := m.qmp.execute(ctx, "cont", nil, nil); err != nil {
		if m.proc.exited() {
			return m.gone()
		}
		return err
	}
	m.pause.ended()
	return nil
}

// releaseHold lets vcpu go on behind the hold of that number, which has been
// handled.
func (m *Machine) releaseHold(ctx context.Context, vcpu int, hold uint64) error {
	p := &m.pause
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	m.shared.ctl.vcpu[vcpu].done.Store(hold)
	m.shared.wake()
	if p.wantResume {
		return m.startVCPUs(ctx)
	}
	return nil
}

// stopVCPUs stops the guest. pause is locked.
func (m *Machine) stopVCPUs(ctx context.Context) error {
	defer m.drain.unbound()()
	ctl := m.shared.ctl
	const attempts = 5 // a byte is lost when it meets another kind of stop
	for range attempts {
		if m.proc.exited() {
			return m.gone()
		}
		if err := m.gdb.interrupt(ctx); err != nil {
			return m.orGone(err)
		}
		if err := m.awaitRequest(ctx); err != nil {
			return err
		}
		ctl.pausing.Store(1)
		m.shared.wake()
		var status struct {
			Running bool `json:"running"`
		}
		// The main loop answers when it has stopped all vCPUs.
		if err := m.qmp.execute(ctx, "query-status", nil, &status); err != nil {
			return m.orGone(err)
		}
		if !status.Running {
			ctl.pausing.Store(0)
			return m.orGone(m.gdb.absorb())
		}
	}
	return errors.New("the guest does not stop")
}

// awaitRequest returns when QEMU's main loop has asked the vCPUs to stop, or
// hangs for another reason, for which letting them go is right as well (it
// stops the machine because the guest shut down).
func (m *Machine) awaitRequest(ctx context.Context) error {
	const (
		hung  = 50 // looks in a row at a main loop that sleeps and does not read
		limit = 5 * time.Second
	)
	end := time.Now().Add(limit)
	asleep := 0
	for pause := 20 * time.Microsecond; time.Now().Before(end); pause = min(2*pause, time.Millisecond) {
		sleeping := m.mainSleeps()
		n, ok := unread(m.gdb.conn)
		switch {
		case !ok:
			pause = 20 * time.Millisecond // no way to tell: long enough
			asleep += hung
		case n == 0 && sleeping:
			// mainSleeps was asked first: it may have been the sleep before
			// the byte was read.
			if m.mainSleeps() {
				return nil
			}
		case n > 0 && sleeping:
			asleep++
		default:
			asleep = 0
		}
		if asleep >= hung {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.proc.done:
			return m.gone()
		case <-time.After(pause):
		}
	}
	m.cfg.Logger.Warn("QEMU is slow to stop the guest")
	return nil
}

// mainSleeps says whether QEMU's main thread is waiting for something.
func (m *Machine) mainSleeps() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/stat", m.proc.cmd.Process.Pid))
	if err != nil {
		return true
	}
	// pid (comm) state …; comm may hold anything, also parentheses.
	i := bytes.LastIndexByte(stat, ')')
	return i < 0 || i+2 >= len(stat) || stat[i+2] != 'R'
}

// gone is the error for a QEMU that has ended.
func (m *Machine) gone() error {
	return &hv.ExitError{Reason: m.proc.describe(), Output: m.proc.stderr.String()}
}

// orGone returns err, or what is behind it if QEMU has ended.
func (m *Machine) orGone(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-m.proc.done:
		return m.gone()
	case <-time.After(100 * time.Millisecond):
		return err
	}
}

// Registers implements hv.Machine. The guest must be paused or have ended in
// good order. A register that the vCPU does not have at present is left out.
func (m *Machine) Registers(ctx context.Context, vcpu int) (map[string]uint64, error) {
	if vcpu < 0 || vcpu >= m.cfg.SMP {
		return nil, fmt.Errorf("qemu: there is no vCPU %d", vcpu)
	}
	p := &m.pause
	if err := p.lock(ctx); err != nil {
		return nil, fmt.Errorf("qemu: registers: %w", err)
	}
	defer p.unlock()
	if p.depth == 0 && !isClosed(m.stopped) && m.runState.Load() != runNew {
		return nil, errors.New("qemu: registers of a running guest")
	}
	regs := m.cfg.Arch.Regs
	numbers := make([]int, len(regs))
	for i, r := range regs {
		numbers[i] = r.GDB
		if n, ok := m.gdb.numbers[r.Name]; ok && r.GDB < 0 {
			numbers[i] = n
		}
	}
	raw, err := m.readRegisters(ctx, vcpu, numbers)
	if err != nil {
		return nil, m.orGone(err)
	}
	out := make(map[string]uint64, len(regs))
	for i, b := range raw {
		switch len(b) {
		case 1, 2, 4, 8:
			out[regs[i].Name] = m.cfg.Arch.Uint(b)
		}
	}
	for _, name := range []string{m.cfg.Arch.Call.PC, m.cfg.Arch.Call.SP} {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("qemu: vCPU %d: the gdb stub does not give register %s", vcpu, name)
		}
	}
	return out, nil
}

// readRegisters reads registers by their numbers, in the guest's byte order;
// nil for one that is not there.
func (m *Machine) readRegisters(ctx context.Context, vcpu int, numbers []int) ([][]byte, error) {
	if !m.gdb.undescribed {
		return m.gdb.registers(ctx, vcpu, numbers)
	}
	all, err := m.gdb.allRegisters(ctx, vcpu)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(numbers))
	halves := m.cfg.Arch.QEMU.Halves
	for i, n := range numbers {
		size := m.cfg.Arch.WordSize
		at := n*size - (min(max(n, halves[0]), halves[1])-halves[0])*size/2
		if n >= halves[0] && n < halves[1] {
			size /= 2
		}
		if n >= 0 && at+size <= len(all) {
			out[i] = all[at : at+size]
		}
	}
	return out, nil
}
