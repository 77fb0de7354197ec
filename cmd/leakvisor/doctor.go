package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/leakvisor/leakvisor/arch/all"
	"github.com/leakvisor/leakvisor/hv/kvm"
	"github.com/leakvisor/leakvisor/hv/qemu"
)

type doctorCmd struct{}

// Run tries what this host has and prints a line for each thing. It errs
// when no guest of some architecture can be run.
func (doctorCmd) Run(ctx context.Context) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	w := os.Stdout
	fmt.Fprintf(w, "leakvisor %s, %s/%s, %d CPUs\ncache: %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cache)
	lacking := false
	for _, a := range all.Archs() {
		if a.QEMU == nil {
			continue
		}
		fmt.Fprintf(w, "guests of %s under QEMU:\n", a.Name)
		lacking = printChecks(w, qemu.Probe(ctx, qemu.Config{Arch: a, CacheDir: cache})) || lacking
	}
	fmt.Fprintln(w, "KVM (not needed: guests run under emulation):")
	printKVM(ctx, w)
	if lacking {
		return errors.New("something that 'leakvisor run' needs is missing: see above")
	}
	return nil
}

// printChecks prints checks and says whether one failed.
func printChecks(w io.Writer, checks []qemu.Check) bool {
	failed := false
	for _, c := range checks {
		mark := "ok  "
		if !c.OK {
			mark, failed = "FAIL", true
		}
		fmt.Fprintf(w, "  %s  %s: %s\n", mark, c.Name, c.Detail)
		if !c.OK && c.Fix != "" {
			fmt.Fprintf(w, "        %s\n", c.Fix)
		}
	}
	return failed
}

func printKVM(ctx context.Context, w io.Writer) {
	c, err := kvm.Probe(ctx)
	if err != nil {
		fmt.Fprintf(w, "  none  %v\n", err)
		return
	}
	if err := errors.Join(c.Check(), c.CheckKernels()); err != nil {
		fmt.Fprintf(w, "  none  %s\n        %v\n", c, err)
		return
	}
	fmt.Fprintf(w, "  ok    %s\n", c)
}
