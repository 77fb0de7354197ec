//go:build !(linux && amd64)

package kvm

import (
	"context"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// Machine cannot be had on this host.
type Machine struct{}

var (
	_ hv.Machine = (*Machine)(nil)
	_ hv.Tracer  = (*Machine)(nil)
)

func unsupported() error { return Runs(nil) }

// Probe says that there is no KVM here.
func Probe(context.Context) (*Capabilities, error) { return nil, unsupported() }

// Start says that there is no KVM here.
func Start(context.Context, Config) (*Machine, error) { return nil, unsupported() }

// Arch returns nil.
func (*Machine) Arch() *arch.Arch { return nil }

// Memory returns nil.
func (*Machine) Memory() guestmem.Physical { return nil }

// VCPUs returns 0.
func (*Machine) VCPUs() int { return 0 }

// Pause errs always.
func (*Machine) Pause(context.Context) error { return unsupported() }

// Resume errs always.
func (*Machine) Resume(context.Context) error { return unsupported() }

// Registers errs always.
func (*Machine) Registers(context.Context, int) (map[string]uint64, error) { return nil, unsupported() }

// Close does nothing.
func (*Machine) Close() error { return nil }

// Run errs always.
func (*Machine) Run(context.Context, hv.Handler) error { return unsupported() }

// Interrupt errs always.
func (*Machine) Interrupt(context.Context, func() error, ...func() error) error {
	return unsupported()
}

// Lost returns 0.
func (*Machine) Lost() uint64 { return 0 }

// Mechanism returns an empty string.
func (*Machine) Mechanism() string { return "" }
