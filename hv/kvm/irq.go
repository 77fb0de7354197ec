//go:build linux && amd64

package kvm

import gokvm "github.com/bobuhiro11/gokvm/kvm"

// serialIRQ returns how the serial port's interrupt line is moved.
func (m *vm) serialIRQ() func(bool) {
	was := false
	return func(level bool) {
		if level == was {
			return
		}
		was = level
		n := uint32(0)
		if level {
			n = 1
		}
		_ = gokvm.IRQLineStatus(m.fd, comIRQ, n) // cannot fail with a controller
	}
}
