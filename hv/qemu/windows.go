package qemu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

const (
	askNow  = 1
	askDone = 2
)

var _ hv.Hider = (*Machine)(nil)

// describe tells the plugin where it finds windows of registers.
func (w *windowsRow) describe(windows *arch.Windows) error {
	if windows == nil {
		return nil
	}
	for name, to := range map[string]*[32]byte{
		windows.State: &w.state, windows.File: &w.file, windows.Count: &w.count,
		windows.Current: &w.current, windows.Callers: &w.callers,
		windows.Spare: &w.spare, windows.Clean: &w.clean,
		windows.Level: &w.level, windows.Traps: &w.traps, windows.TrapState: &w.trapState,
		windows.Globals: &w.globals,
	} {
		if len(name) == 0 || len(name) >= len(to) {
			return fmt.Errorf("qemu: %q is no name of a part of the CPU's state", name)
		}
		copy(to[:], name)
	}
	w.take = windows.Take
	return nil
}

// checkWindows makes sure that the plugin has found them. It knows only when
// vCPUs have run.
func (m *Machine) checkWindows() error {
	w, c := m.cfg.Arch.QEMU.Windows, &m.shared.ctl.windows
	if w == nil || c.found != 0 {
		return nil
	}
	return fmt.Errorf("qemu: %s does not export %s, or not as QEMU 10 has it: callers' registers are nowhere to be had", m.cfg.Binary, w.State)
}

// Hidden implements hv.Hider: the windows of a vCPU, as a thread of the plugin
// finds them. The guest must be paused or have ended in good order.
func (m *Machine) Hidden(ctx context.Context, vcpu int) (hidden hv.Hidden, err error) {
	windows := m.cfg.Arch.QEMU.Windows
	if windows == nil {
		return hidden, nil
	}
	regs, err := m.Registers(ctx, vcpu)
	if err != nil {
		return hidden, err
	}
	p := &m.pause
	if err := p.lock(ctx); err != nil {
		return hidden, fmt.Errorf("qemu: register windows: %w", err)
	}
	defer p.unlock()
	if err := m.askForWindows(ctx, vcpu); err != nil {
		return hidden, err
	}
	w := &m.shared.ctl.windows
	size := 16 * m.cfg.Arch.WordSize
	for i := range min(w.nframes, maxWindows) {
		f := &w.frames[i]
		hidden.Frames = append(hidden.Frames, hv.Unwritten{
			Addr:  guestmem.GVA(f.addr),
			Bytes: append([]byte(nil), f.saved[:min(size, len(f.saved))]...),
		})
	}
	if !windows.Usual.In(regs) {
		hidden.Words = append(hidden.Words, w.others[:]...)
	}
	if len(hidden.Frames) > 0 && uint64(hidden.Frames[0].Addr) != m.cfg.Arch.StackPointer(regs) {
		hidden.Words = append(hidden.Words, w.passed[:]...)
	}
	return hidden, nil
}

// askForWindows has the plugin fill in what a vCPU has. pause is locked, so that
// nobody else asks, or lets the guest go.
func (m *Machine) askForWindows(ctx context.Context, vcpu int) error {
	if m.pause.depth == 0 && !isClosed(m.stopped) && m.runState.Load() != runNew {
		return errors.New("qemu: register windows of a running guest")
	}
	if err := m.checkWindows(); err != nil {
		return err
	}
	w := &m.shared.ctl.windows
	w.vcpu = uint32(vcpu)
	w.ask.Store(askNow)
	futexWake(&w.ask)
	for wait := 20 * time.Microsecond; w.ask.Load() != askDone; wait = min(2*wait, 10*time.Millisecond) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("qemu: register windows: %w", ctx.Err())
		case <-m.proc.done:
			return m.gone()
		case <-time.After(wait):
		}
	}
	if w.wrong.Load() != 0 {
		return errors.New("qemu: the register windows are not where QEMU's description of its CPU says: backtraces are wrong")
	}
	return nil
}
