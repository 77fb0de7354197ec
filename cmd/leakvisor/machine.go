package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/hv/kvm"
	"github.com/leakvisor/leakvisor/hv/qemu"
	"github.com/leakvisor/leakvisor/leak"
)

// Values of --hv, which reports name as well.
const (
	hvAuto = "auto"
	hvQEMU = "qemu"
	hvKVM  = "kvm"
)

// startMachine makes the machine that --hv asks for, with the guest loaded,
// and names it.
func (c *runCmd) startMachine(ctx context.Context, a *arch.Arch, cache string, console io.Writer, log *slog.Logger) (leak.Machine, string, error) {
	if c.chooseHV(ctx, a, log) == hvKVM {
		m, err := kvm.Start(ctx, kvm.Config{
			Arch:        a,
			Kernel:      string(c.Kernel),
			Initrd:      string(c.Initrd),
			Append:      c.append(a.QEMU.Console, ""),
			MemoryBytes: uint64(c.Memory),
			SMP:         c.SMP,
			Console:     console,
			Hook:        c.Hook,
			Logger:      log,
		})
		if err != nil {
			return nil, "", err
		}
		return m, hvKVM, nil
	}
	if c.Hook != kvm.HookAuto {
		return nil, "", fmt.Errorf("--hook %s is for --hv kvm", c.Hook)
	}
	m, err := qemu.Start(ctx, qemu.Config{
		Arch:        a,
		Kernel:      string(c.Kernel),
		Initrd:      string(c.Initrd),
		DTB:         string(c.DTB),
		Append:      c.append(a.QEMU.Console, a.QEMU.Append),
		MemoryBytes: uint64(c.Memory),
		SMP:         c.SMP,
		Console:     console,
		CacheDir:    cache,
		Logger:      log,
	})
	if err != nil {
		return nil, "", err
	}
	return m, hvQEMU, nil
}

// chooseHV decides what "auto" is: KVM where all of it works.
func (c *runCmd) chooseHV(ctx context.Context, a *arch.Arch, log *slog.Logger) string {
	if c.HV != hvAuto {
		return c.HV
	}
	err := kvm.Runs(a)
	if err == nil {
		var caps *kvm.Capabilities
		if caps, err = kvm.Probe(ctx); err == nil {
			err = errors.Join(caps.Check(), caps.CheckKernels())
		}
	}
	if err != nil {
		log.Info("the guest runs under QEMU", "why not KVM", err)
		return hvQEMU
	}
	return hvKVM
}
