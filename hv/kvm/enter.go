//go:build linux && amd64

package kvm

import (
	"fmt"

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
		if err := r.setStep(stepping(m.caps.Trap)); err != nil {
			return err
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
