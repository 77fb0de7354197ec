package qemu

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/leakvisor/leakvisor/hv"
)

// onQMPEvent notes how the guest ends.
func (m *Machine) onQMPEvent(ev qmpEvent) {
	m.endMu.Lock()
	defer m.endMu.Unlock()
	announce := func(reason string) {
		if m.reason == "" {
			m.reason = reason
			close(m.shutdown)
		}
	}
	switch ev.Name {
	case "SHUTDOWN":
		var data struct {
			Reason string `json:"reason"`
		}
		if json.Unmarshal(ev.Data, &data) != nil || data.Reason == "" {
			data.Reason = "unknown"
		}
		announce(data.Reason)
	case "GUEST_PANICKED", "GUEST_CRASHLOADED":
		announce("guest-panic")
	case "STOP":
		if m.reason != "" {
			m.markStopped()
		}
	}
}

// markStopped notes that a guest whose end was announced does not run any
// more. endMu is held.
func (m *Machine) markStopped() {
	if !isClosed(m.stopped) {
		close(m.stopped)
	}
}

// outcome judges the end of a guest that QEMU announced and stopped.
func (m *Machine) outcome() error {
	m.endMu.Lock()
	reason := m.reason
	m.endMu.Unlock()
	switch reason {
	case "guest-shutdown":
		return nil
	case "guest-reset":
		// A triple fault asks for a reset as an orderly reboot does; only
		// QEMU's log tells them apart.
		if m.sawTripleFault() {
			return &hv.ExitError{Reason: "the guest died of a triple fault: its kernel crashed too early or too hard to say why"}
		}
		return nil
	case "guest-panic":
		return &hv.ExitError{Reason: "the guest's kernel reported a panic"}
	}
	return &hv.ExitError{Reason: "QEMU shut the guest down (" + reason + ")", Output: m.proc.stderr.String()}
}

func (m *Machine) sawTripleFault() bool {
	const limit = 4 << 20
	buf := make([]byte, limit)
	n, err := m.log.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	return bytes.Contains(buf[:n], []byte("Triple fault"))
}
