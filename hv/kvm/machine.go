//go:build linux && amd64

package kvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// Machine is a guest under KVM.
type Machine struct {
	cfg   Config
	arch  *arch.Arch
	caps  *Capabilities
	vm    *vm
	ports *ports
	start *start
	cpus  []*runner

	// mu guards the rendezvous of vCPUs and pausers.
	mu      sync.Mutex
	cond    *sync.Cond
	pauses  int
	closing bool
	pausing atomic.Bool // pauses > 0 || closing, for the vCPUs' hot path
	threads sync.WaitGroup
	stepMu  sync.Mutex // held by a vCPU that stops the others

	tracer tracer
}

var (
	_ hv.Machine = (*Machine)(nil)
	_ hv.Tracer  = (*Machine)(nil)
)

// runner is a vCPU with what its goroutine keeps.
type runner struct {
	*vcpu
	m      *Machine
	parked bool // guarded by Machine.mu: stands still, and will until pauses is 0
	spaces spaces
	state  state
	quiet  *quietCall // a patcher is running
}

// Start makes a machine and loads the guest; Run lets it go.
func Start(ctx context.Context, cfg Config) (_ *Machine, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	caps, err := probe(ctx, cfg.Device)
	if err != nil {
		return nil, err
	}
	if err := caps.Check(); err != nil {
		return nil, err
	}
	cfg.Logger.Info("KVM probed", "device", cfg.Device, "capabilities", caps.String())
	return startWith(cfg, caps, false)
}

// startWith is Start with known capabilities.
func startWith(cfg Config, caps *Capabilities, noSync bool) (_ *Machine, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	m := &Machine{cfg: cfg, arch: cfg.Arch, caps: caps}
	m.cond = sync.NewCond(&m.mu)
	m.tracer.init()
	if m.vm, err = newVM(cfg.Device, cfg.MemoryBytes, cfg.SMP, true, noSync); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.vm.close()
		}
	}()
	m.ports = newPorts(serial{out: cfg.Console, irq: m.vm.serialIRQ()})
	if m.start, err = m.load(); err != nil {
		return nil, err
	}
	for _, v := range m.vm.vcpus {
		m.cpus = append(m.cpus, &runner{vcpu: v, m: m, parked: true})
	}
	if err = m.vm.vcpus[0].begin(m.start); err != nil {
		return nil, err
	}
	for _, v := range m.vm.vcpus[1:] {
		if err = v.fetch(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Machine) load() (*start, error) {
	k, err := os.Open(m.cfg.Kernel)
	if err != nil {
		return nil, fmt.Errorf("kvm: %w", err)
	}
	defer k.Close()
	info, err := k.Stat()
	if err != nil {
		return nil, fmt.Errorf("kvm: %w", err)
	}
	var initrd []byte
	if m.cfg.Initrd != "" {
		if initrd, err = os.ReadFile(m.cfg.Initrd); err != nil {
			return nil, fmt.Errorf("kvm: %w", err)
		}
	}
	s, err := loadKernel(m.vm.ram, k, info.Size(), initrd, m.cfg.Append, m.cfg.SMP)
	if err != nil {
		return nil, fmt.Errorf("kvm: loading %s: %w", m.cfg.Kernel, err)
	}
	return s, nil
}

// Arch implements hv.Machine.
func (m *Machine) Arch() *arch.Arch { return m.arch }

// Memory implements hv.Machine.
func (m *Machine) Memory() guestmem.Physical { return m.vm.ram.view }

// VCPUs implements hv.Machine.
func (m *Machine) VCPUs() int { return len(m.cpus) }

// gate is passed by a vCPU before it enters the guest: it waits there while
// the guest is paused. It returns false when the vCPU shall end.
func (r *runner) gate() bool {
	m := r.m
	if !m.pausing.Load() {
		return true
	}
	if err := r.leaveStub(); err != nil {
		m.tracer.end(err)
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.settle()
}

// leaveStub brings a vCPU that is about to stand still out of a stub, so that
// no record is left unfinished.
func (r *runner) leaveStub() error {
	ring := r.m.tracer.ring.Load()
	if ring == nil {
		return nil
	}
	if err := r.load(); err != nil {
		return err
	}
	if !ring.inStub(r.state.RIP) {
		return nil
	}
	return r.stepOut(ring.layout.code, largePage)
}

// settle parks the vCPU until nobody wants it to stand still. mu is held.
func (r *runner) settle() bool {
	m := r.m
	r.parked = true
	m.cond.Broadcast()
	for m.pauses > 0 && !m.closing {
		m.cond.Wait()
	}
	if m.closing {
		return false
	}
	r.parked = false
	r.unkick()
	return true
}

// standing runs f, which may block, with the vCPU counted as standing still.
// f must not touch the guest.
func (r *runner) standing(f func()) bool {
	m := r.m
	m.mu.Lock()
	r.parked = true
	m.cond.Broadcast()
	m.mu.Unlock()
	f()
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.settle()
}

// stop makes all vCPUs but self stand still.
func (m *Machine) stop(ctx context.Context, self *runner) error {
	defer context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.cond.Broadcast()
	})()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pauses++
	m.pausing.Store(true)
	for _, r := range m.cpus {
		if r != self && !r.parked {
			r.kick()
		}
	}
	if ring := m.tracer.ring.Load(); ring != nil {
		ring.wake()
	}
	for !m.allParked(self) {
		if err := ctx.Err(); err != nil {
			m.releaseLocked()
			return fmt.Errorf("kvm: pause: %w", err)
		}
		m.cond.Wait()
	}
	return nil
}

func (m *Machine) allParked(self *runner) bool {
	for _, r := range m.cpus {
		if r != self && !r.parked {
			return false
		}
	}
	return true
}

func (m *Machine) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.releaseLocked()
}

func (m *Machine) releaseLocked() {
	if m.pauses > 0 {
		m.pauses--
	}
	m.pausing.Store(m.pauses > 0 || m.closing)
	m.cond.Broadcast()
}

// alone runs f with all other vCPUs standing still.
func (r *runner) alone(f func() error) error {
	if !r.standing(r.m.stepMu.Lock) {
		r.m.stepMu.Unlock()
		return errClosing
	}
	defer r.m.stepMu.Unlock()
	if err := r.m.stop(context.Background(), r); err != nil {
		return err
	}
	defer r.m.release()
	return f()
}

// errClosing ends a vCPU's goroutine at Close.
var errClosing = errors.New("kvm: the machine is being closed")

// Pause implements hv.Machine. Calls nest: the guest runs again when Resume
// was called as often. It may be called from any goroutine, but not from
// within Handler.KernelEntered.
func (m *Machine) Pause(ctx context.Context) error { return m.stop(ctx, nil) }

// Resume implements hv.Machine; see Pause.
func (m *Machine) Resume(context.Context) error {
	m.release()
	return nil
}

// Registers implements hv.Machine. The guest must be paused, or have ended.
func (m *Machine) Registers(_ context.Context, vcpu int) (map[string]uint64, error) {
	if vcpu < 0 || vcpu >= len(m.cpus) {
		return nil, fmt.Errorf("kvm: there is no vCPU %d", vcpu)
	}
	r := m.cpus[vcpu]
	m.mu.Lock()
	defer m.mu.Unlock()
	if !r.parked {
		return nil, errors.New("kvm: registers of a running guest")
	}
	if m.closing {
		return nil, fmt.Errorf("kvm: %w", hv.ErrGuestGone)
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	out := r.state.registers()
	base, err := getMSR(r.fd, msrKernelGSBase)
	if err != nil {
		return nil, fmt.Errorf("kvm: reading MSR %#x of vCPU %d: %w", uint32(msrKernelGSBase), vcpu, err)
	}
	out["k_gs_base"] = base
	return out, nil
}

// load makes state that of the vCPU's last exit.
func (r *runner) load() (err error) {
	if r.state.Regs, err = r.regs(); err != nil {
		return err
	}
	if r.state.sregs, err = r.sregs(); err != nil {
		return err
	}
	r.state.ram = r.m.vm.ram
	r.state.space, err = r.spaces.get(r.m.vm.ram, r.m.arch, r.state.sregs)
	return err
}

// Close implements hv.Machine. Memory and its views must not be used any
// more.
func (m *Machine) Close() error {
	m.mu.Lock()
	if m.closing {
		m.mu.Unlock()
		return nil
	}
	m.closing = true
	m.pausing.Store(true)
	for _, r := range m.cpus {
		r.kick()
	}
	m.cond.Broadcast()
	m.mu.Unlock()
	if ring := m.tracer.ring.Load(); ring != nil {
		ring.wake()
	}
	close(m.tracer.closed)
	m.threads.Wait()
	m.tracer.running.Wait()
	m.ports.flush()
	m.vm.close()
	return nil
}
