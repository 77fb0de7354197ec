package main

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed" // of the guest
	"errors"
	"io"
	"os"
	"path/filepath"
)

// demoGuest is leaklab (docs/leaklab.md) for TILE-Gx, which our interpreter
// runs on any host; scripts/demo/build.sh makes it.
//
//go:embed demo/leaklab.elf.gz
var demoGuest []byte

type demoCmd struct {
	Format  string   `enum:"text,json,junit,sarif" default:"text" help:"Report format, as of run (${default})."`
	Output  string   `type:"path" placeholder:"FILE" help:"Where the report goes (default: standard output)."`
	Console string   `placeholder:"FILE" help:"Where the guest's console output goes; - for standard error (default: nowhere)."`
	Explain []string `sep:"none" placeholder:"WHAT" help:"Explain the verdict on an object, as run does."`
	Quiet   bool     `short:"q" help:"No progress."`
	Verbose bool     `short:"v" help:"Log details to standard error."`
}

// Run judges the embedded guest.
func (c *demoCmd) Run(ctx context.Context, status *int) (err error) {
	dir, err := os.MkdirTemp("", "leakvisor-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	guest := filepath.Join(dir, "leaklab.elf")
	if err := unpack(guest, demoGuest); err != nil {
		return err
	}
	r := runCmd{
		VMLinux: file(guest), Memory: 64 << 20, SMP: 2, HV: hvEmu, Hook: "auto",
		Track: []string{"slab", "vmalloc", "percpu", "pages"}, ScanAt: "poweroff", Stacks: "live",
		Format: c.Format, Output: c.Output, Console: c.Console, Explain: c.Explain, Quiet: c.Quiet, Verbose: c.Verbose,
	}
	return r.Run(ctx, status)
}

func unpack(name string, compressed []byte) (err error) {
	z, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, z)
	return err
}
