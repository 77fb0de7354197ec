package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/leakvisor/leakvisor/arch/all"
	interpreters "github.com/leakvisor/leakvisor/hv/emu/all"
	"github.com/leakvisor/leakvisor/hv/kvm"
	"github.com/leakvisor/leakvisor/hv/qemu"
)

type doctorCmd struct{}

// Run tries what this host has and prints a line for each thing. It errs
// when there is no architecture whose guests can be run.
func (doctorCmd) Run(ctx context.Context) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	w := os.Stdout
	fmt.Fprintf(w, "leakvisor %s, %s/%s, %d CPUs\ncache: %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cache)
	fmt.Fprintln(w, "guests under QEMU:")
	host, able := printChecks(w, qemu.ProbeHost(ctx, qemu.Config{})), false
	for _, a := range all.Archs() {
		if a.QEMU == nil {
			continue
		}
		fmt.Fprintf(w, "guests of %s under QEMU:\n", a.Name)
		able = printChecks(w, qemu.ProbeEmulator(ctx, qemu.Config{Arch: a, CacheDir: cache})) && host || able
	}
	fmt.Fprintln(w, "guests in interpreters of ours (leakvisor demo is one):")
	for _, isa := range interpreters.ISAs() {
		fmt.Fprintf(w, "  ok    %s: nothing else is needed\n", isa.Arch.Name)
	}
	fmt.Fprintln(w, "guests under KVM (not needed: guests run under emulation):")
	able = printKVM(ctx, w) || able
	if !able {
		return errors.New("this host can run no guest: see above for what is missing")
	}
	return nil
}

// printChecks prints checks and says whether all hold.
func printChecks(w io.Writer, checks []qemu.Check) bool {
	hold := true
	for _, c := range checks {
		mark := "ok  "
		if !c.OK {
			mark, hold = "FAIL", false
		}
		fmt.Fprintf(w, "  %s  %s: %s\n", mark, c.Name, c.Detail)
		if !c.OK && c.Fix != "" {
			fmt.Fprintf(w, "        %s\n", c.Fix)
		}
	}
	return hold
}

// printKVM says what KVM can do here, and whether stock kernels run.
func printKVM(ctx context.Context, w io.Writer) bool {
	c, err := kvm.Probe(ctx)
	if err != nil {
		fmt.Fprintf(w, "  none  %v\n", err)
		return false
	}
	if err := errors.Join(c.Check(), c.CheckKernels()); err != nil {
		fmt.Fprintf(w, "  none  %s\n        %v\n", c, err)
		return false
	}
	fmt.Fprintf(w, "  ok    %s\n", c)
	return true
}
