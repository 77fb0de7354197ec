package qemu

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// States of an adoption: plugin/shared.h.
const (
	adoptReady = 1 + iota
	adoptNow
	adoptDone
	adoptFailed
)

// adopt makes the memory file be what the guest has at ranges, where the
// machine has memory of its own: see plugin/adopt.c. The guest must not have
// run yet.
func (m *Machine) adopt(ctx context.Context, ranges []ramRange) error {
	if len(ranges) > maxPieces {
		return fmt.Errorf("qemu: RAM in %d pieces, at most %d are supported", len(ranges), maxPieces)
	}
	for i, r := range ranges {
		if size := uint64(len(m.ram.data)); r.offset > size || r.size > size-r.offset {
			return fmt.Errorf("qemu: this machine always has %d MiB of RAM: give it at least as much", (r.offset+r.size)>>20)
		}
		first, err := m.hostAddress(ctx, r.gpa)
		if err != nil {
			return err
		}
		last, err := m.hostAddress(ctx, r.gpa+r.size-1)
		if err != nil {
			return err
		}
		if last-first != r.size-1 {
			return fmt.Errorf("qemu: RAM at %#x is not in one piece", r.gpa)
		}
		m.shared.ctl.hosts[i] = first
	}
	m.shared.setPieces(ranges)
	state := &m.shared.ctl.adopt
	state.Store(adoptNow)
	futexWake(state)
	for state.Load() == adoptNow {
		select {
		case <-ctx.Done():
			return fmt.Errorf("qemu: taking over the machine's RAM: %w", ctx.Err())
		case <-m.proc.done:
			return fmt.Errorf("qemu: taking over the machine's RAM: %s", m.proc.describe())
		case <-time.After(time.Millisecond):
		}
	}
	if state.Load() != adoptDone {
		return fmt.Errorf("qemu: the machine's RAM cannot be mapped anew")
	}
	return nil
}

// hostAddress returns where QEMU has the guest's memory at gpa.
func (m *Machine) hostAddress(ctx context.Context, gpa uint64) (uint64, error) {
	text, err := m.qmp.monitor(ctx, fmt.Sprintf("gpa2hva %#x", gpa))
	if err != nil {
		return 0, err
	}
	return parseHostAddress(text)
}

// parseHostAddress reads a line like
//
//	Host virtual address for 0x90000000 (board.ram) is 0x7f2d4be00000
func parseHostAddress(text string) (uint64, error) {
	text = strings.TrimSpace(text)
	_, number, ok := strings.Cut(text, ") is 0x")
	host, err := strconv.ParseUint(number, 16, 64)
	if !ok || err != nil || host == 0 {
		return 0, fmt.Errorf("qemu: the monitor does not tell where RAM is: %q", text)
	}
	return host, nil
}
