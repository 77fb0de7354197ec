package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/leak"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/symbols"
)

type runCmd struct {
	Kernel  file   `placeholder:"FILE" help:"Kernel to boot: bzImage or ELF. Where Leakvisor itself runs the guest, vmlinux serves."`
	VMLinux file   `name:"vmlinux" required:"" placeholder:"FILE" help:"The same kernel's vmlinux with debug information."`
	Initrd  file   `placeholder:"FILE" help:"Initial RAM disk."`
	DTB     file   `name:"dtb" placeholder:"FILE" help:"Device tree of the board, where the emulator has none (QEMU only)."`
	Append  string `placeholder:"ARGS" help:"Kernel command line, behind console= and what emulation needs."`
	Memory  size   `default:"512M" placeholder:"SIZE" help:"Guest RAM, for example 512M or 2G (${default})."`
	SMP     int    `default:"1" placeholder:"N" help:"Number of vCPUs (${default})."`
	HV      string `name:"hv" enum:"auto,qemu,kvm,emu" default:"auto" help:"What runs the guest: qemu, kvm, emu (our interpreter, for architectures that nothing else runs), or auto: KVM where it can run stock kernels, else QEMU, else emu (${default})."`
	Hook    string `enum:"auto,trap,ring" default:"auto" help:"How hooks work under KVM: trap (an exit each), ring (no exit) or auto (${default})."`

	Track     []string      `default:"slab,vmalloc,percpu" enum:"slab,vmalloc,percpu,pages" help:"Allocators to track: slab, vmalloc, percpu, pages (${default})."`
	ScanAt    string        `enum:"poweroff,never" default:"poweroff" help:"Scan when the guest is about to power off, halt, reboot or panic: poweroff or never (${default})."`
	ScanEvery time.Duration `placeholder:"DURATION" help:"Also scan at this interval of real time."`
	ScanOn    string        `placeholder:"REGEX" help:"Also scan when the guest's console prints a line that matches."`
	Stacks    string        `enum:"live,whole" default:"live" help:"What counts of kernel stacks: live, what is in use, or whole, as kmemleak has it (${default})."`
	MinAge    time.Duration `placeholder:"DURATION" help:"Leave out orphans younger than this, in guest time (default 0s)."`
	Precise   bool          `help:"Of objects whose type is known, take only what can hold a pointer by its type for one: finds also what a stale integer hides."`
	Explain   []string      `sep:"none" placeholder:"WHAT" help:"Explain the verdict on the object at an address, or on those of function:NAME, module:NAME, cache:NAME or type:NAME, with * for any characters; may be given several times."`
	Suppress  []string      `type:"existingfile" sep:"none" placeholder:"FILE" help:"Leave out what the rules in this file match, and what hangs on it; may be given several times."`

	ModuleSymbols folder `placeholder:"DIR" help:"Where .ko files with debug information are; without it the guest's own symbol tables serve."`

	Format  string        `enum:"text,json,junit,sarif" default:"text" help:"Report format: text; json, an object for each scan; junit or sarif, of the one scan at the end (${default})."`
	Output  string        `type:"path" placeholder:"FILE" help:"Where the report goes (default: standard output)."`
	Console string        `placeholder:"FILE" help:"Where the guest's console output goes; - for standard error (default: nowhere)."`
	Timeout time.Duration `placeholder:"DURATION" help:"Scan and end the guest after this much real time."`
	Quiet   bool          `short:"q" help:"No progress."`
	Verbose bool          `short:"v" help:"Log details to standard error."`
}

// Run boots the guest, tracks it to its end and writes the reports.
func (c *runCmd) Run(ctx context.Context, status *int) (err error) {
	var scanOn *regexp.Regexp
	if c.ScanOn != "" {
		if scanOn, err = regexp.Compile(c.ScanOn); err != nil {
			return fmt.Errorf("--scan-on: %w", err)
		}
	}
	if c.SMP < 1 || c.SMP > 255 {
		return fmt.Errorf("--smp: %d is not between 1 and 255", c.SMP)
	}
	if c.ScanAt == "never" && scanOn == nil && c.ScanEvery <= 0 && c.Timeout <= 0 {
		return errors.New("--scan-at never needs --scan-every, --scan-on or --timeout: nothing would be scanned")
	}
	if (c.Format == "junit" || c.Format == "sarif") && (scanOn != nil || c.ScanEvery > 0) {
		return fmt.Errorf("--format %s holds one report: leave out --scan-every and --scan-on, or take json", c.Format)
	}
	track, err := parseTrack(c.Track)
	if err != nil {
		return err
	}
	var explain []leak.Query
	for _, text := range c.Explain {
		q, err := leak.ParseQuery(text)
		if err != nil {
			return fmt.Errorf("--explain: %w", err)
		}
		explain = append(explain, q)
	}
	suppress, err := readRules(c.Suppress)
	if err != nil {
		return err
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if c.Verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	progress := newProgress(os.Stderr, c.Quiet)
	defer progress.finish()

	progress.stage("reading symbols of " + filepath.Base(string(c.VMLinux)))
	img, err := symbols.Open(string(c.VMLinux), &symbols.Options{CacheDir: cache, Logger: log})
	if err != nil {
		return err
	}
	defer img.Close()
	if img.Arch() == nil || img.Arch().QEMU == nil && !img.Arch().Interpreted {
		return fmt.Errorf("%s: no emulator is known for this architecture", c.VMLinux)
	}

	if err := img.CheckKernel(); err != nil {
		return err
	}
	out, err := openOutput(c.Output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.commit()) }()
	console, err := openConsole(c.Console)
	if err != nil {
		return err
	}
	defer console.Close()

	watch := newConsoleWatch(console, scanOn)
	m, backend, err := c.startMachine(ctx, img.Arch(), cache, watch, log)
	if err != nil {
		return &statusError{exitGuestStart(err), err}
	}
	defer func() { err = errors.Join(err, m.Close()) }()

	reports := 0
	var unused unusedRules
	s, err := leak.New(img, m, &leak.Options{
		Track:         track,
		Roots:         []leak.Roots{{WholeStacks: c.Stacks == string(report.WholeStacks)}},
		MinAge:        c.MinAge,
		Precise:       c.Precise,
		Explain:       explain,
		Suppress:      suppress,
		ScanAtEnd:     c.ScanAt == "poweroff",
		ScanEvery:     c.ScanEvery,
		ScanNow:       watch.matched,
		Timeout:       c.Timeout,
		ModuleSymbols: string(c.ModuleSymbols),
		CacheDir:      cache,
		HV:            backend,
		Progress:      progress.update,
		Logger:        log,
		Report: func(r *report.Report) error {
			progress.finish()
			reports++
			unused.take(r)
			*status = max(*status, verdictStatus(r.Verdict))
			if err := c.write(out, r); err != nil {
				return &statusError{exitUsage, err}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	progress.stage("booting " + filepath.Base(string(cmp.Or(c.Kernel, c.VMLinux))))
	err = s.Run(ctx)
	progress.finish()
	unused.warn(os.Stderr)
	var gone *hv.ExitError
	var known *statusError
	switch {
	case errors.Is(err, hooks.ErrWrongKernel), errors.As(err, &known):
		return err
	case errors.As(err, &gone), errors.Is(err, leak.ErrGuestFailed):
		return &statusError{exitGuest, fmt.Errorf("%w%s", err, watch.tail())}
	case err != nil:
		return &statusError{exitGuest, err}
	case reports == 0:
		return &statusError{exitUnknown, errors.New("the guest ended before anything was scanned")}
	}
	return nil
}

// append returns the kernel command line; what the user says comes last.
func (c *runCmd) append(console, more string) string {
	args := "console=" + console
	for _, a := range [...]string{more, c.Append} {
		if a != "" {
			args += " " + a
		}
	}
	return args
}

func (c *runCmd) write(w io.Writer, r *report.Report) error {
	allocators := hooks.Names()
	switch c.Format {
	case "json":
		return report.WriteJSON(w, r)
	case "junit":
		return report.WriteJUnit(w, r, &report.JUnitOptions{Allocators: allocators})
	case "sarif":
		return report.WriteSARIF(w, r, &report.SARIFOptions{Allocators: allocators})
	}
	return report.WriteText(w, r, &report.TextOptions{Allocators: allocators})
}

// verdictStatus is the exit status of one report; a run's is the greatest.
func verdictStatus(v report.Verdict) int {
	switch v {
	case report.Clean:
		return exitClean
	case report.Leaks:
		return exitLeaks
	}
	return exitUnknown
}

func parseTrack(names []string) ([]hooks.Class, error) {
	var out []hooks.Class
	for _, n := range names {
		c, err := hooks.ParseClass(n)
		if err != nil {
			return nil, fmt.Errorf("--track: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}

// exitGuestStart tells a missing file or tool, or a file that the emulator
// would not take (usage), from a guest that failed to start.
func exitGuestStart(err error) int {
	var gone *hv.ExitError
	if errors.As(err, &gone) && !gone.Refused {
		return exitGuest
	}
	return exitUsage
}

// cacheDir is where compiled plugins and symbol indexes are kept:
// $LEAKVISOR_CACHE, or leakvisor in the user's cache directory.
func cacheDir() (string, error) {
	if d := os.Getenv("LEAKVISOR_CACHE"); d != "" {
		return d, nil
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w; set LEAKVISOR_CACHE", err)
	}
	return filepath.Join(d, "leakvisor"), nil
}
