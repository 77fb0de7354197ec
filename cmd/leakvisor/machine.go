package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/hv/emu"
	interpreters "github.com/leakvisor/leakvisor/hv/emu/all"
	"github.com/leakvisor/leakvisor/hv/kvm"
	"github.com/leakvisor/leakvisor/hv/qemu"
	"github.com/leakvisor/leakvisor/leak"
)

// Values of --hv, which reports name as well.
const (
	hvAuto = "auto"
	hvQEMU = "qemu"
	hvKVM  = "kvm"
	hvEmu  = "emu"
)

// startMachine makes the machine that --hv asks for, with the guest loaded,
// and names it.
func (c *runCmd) startMachine(ctx context.Context, a *arch.Arch, cache string, console io.Writer, log *slog.Logger) (leak.Machine, string, error) {
	backend := c.chooseHV(ctx, a, log)
	if backend != hvKVM && c.Hook != kvm.HookAuto {
		return nil, "", fmt.Errorf("--hook %s is for --hv kvm", c.Hook)
	}
	if backend == hvEmu {
		m, err := c.interpret(a, console)
		return m, hvEmu, err
	}
	if a.QEMU == nil {
		return nil, "", fmt.Errorf("--hv %s: it does not run %s", backend, a.Name)
	}
	if c.Kernel == "" {
		return nil, "", errors.New("--kernel is missing: what to boot")
	}
	if backend == hvKVM {
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

// interpret makes a machine of our own for a guest that QEMU does not run.
func (c *runCmd) interpret(a *arch.Arch, console io.Writer) (leak.Machine, error) {
	isa, ok := interpreters.ByArch(a)
	if !ok {
		return nil, fmt.Errorf("--hv %s: there is no interpreter for %s", hvEmu, a.Name)
	}
	if c.Initrd != "" || c.Append != "" {
		return nil, fmt.Errorf("--hv %s: its guests take no --initrd and no --append", hvEmu)
	}
	name := cmp.Or(c.Kernel, c.VMLinux)
	f, err := os.Open(string(name))
	if err != nil {
		return nil, err
	}
	m, err := emu.New(isa, &emu.Config{Kernel: f, Memory: uint64(c.Memory), SMP: c.SMP, Console: console})
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// chooseHV decides what "auto" is: KVM where all of it works, our interpreter
// where nothing else runs the guest.
func (c *runCmd) chooseHV(ctx context.Context, a *arch.Arch, log *slog.Logger) string {
	if c.HV != hvAuto {
		return c.HV
	}
	if a.QEMU == nil {
		return hvEmu
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
