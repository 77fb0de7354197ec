package qemu

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/leakvisor/leakvisor/arch"
)

// Config says what to run. The zero value of each field but Arch, Kernel and
// MemoryBytes is legal.
type Config struct {
	Arch *arch.Arch
	// Kernel and Initrd are files; Append is the kernel command line.
	Kernel, Initrd, Append string
	// DTB is the file with the board's device tree, for machines without one.
	DTB string
	// MemoryBytes is the size of guest RAM, a multiple of 1 MiB.
	MemoryBytes uint64
	// SMP is the number of vCPUs, 1 if zero, at most 256.
	SMP int
	// Console takes what the guest writes to its first serial port. It is
	// called from one goroutine, until Close returns.
	Console io.Writer
	// CacheDir holds the compiled plugin; it is made if missing. Empty means
	// "leakvisor" in the user's cache directory.
	CacheDir string
	// Binary overrides Arch.QEMU.Binary: a name looked up in PATH or a path.
	Binary string
	// CC is the C compiler, "cc" if empty.
	CC string
	// Extra are further arguments for QEMU.
	Extra []string
	// Logger is told what is worth knowing when something is odd; nil for
	// silence.
	Logger *slog.Logger
}

// MissingError says what this host lacks and how to get it.
type MissingError struct {
	What   string // for people, for example "the C compiler cc"
	Fix    string // what to do
	Reason error  // may be nil
}

func (e *MissingError) Error() string {
	msg := "missing: " + e.What
	if e.Reason != nil {
		msg += " (" + e.Reason.Error() + ")"
	}
	if e.Fix != "" {
		msg += "; " + e.Fix
	}
	return msg
}

// Unwrap returns the reason.
func (e *MissingError) Unwrap() error { return e.Reason }

// withDefaults checks c and fills in what it leaves open.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Arch == nil:
		return c, errors.New("qemu: no architecture given")
	case c.Arch.QEMU == nil:
		return c, fmt.Errorf("qemu: QEMU runs no guests of architecture %s", c.Arch.Name)
	case c.Kernel == "":
		return c, errors.New("qemu: no kernel given")
	case c.MemoryBytes == 0 || c.MemoryBytes%(1<<20) != 0:
		return c, fmt.Errorf("qemu: guest memory of %d bytes, want a multiple of 1 MiB", c.MemoryBytes)
	case c.SMP < 0 || c.SMP > maxVCPUs:
		return c, fmt.Errorf("qemu: %d vCPUs, 1 to %d are supported", c.SMP, maxVCPUs)
	case c.Arch.QEMU.CPUs > 0 && c.SMP > c.Arch.QEMU.CPUs:
		return c, fmt.Errorf("qemu: %d vCPUs, Linux can use %d of this machine (%s)", c.SMP, c.Arch.QEMU.CPUs, c.Arch.QEMU.Machine)
	}
	// QEMU's own complaints about files are good, but come after the plugin
	// was compiled and without our context.
	for _, file := range []string{c.Kernel, c.Initrd, c.DTB} {
		if file == "" {
			continue
		}
		f, err := os.Open(file)
		if err != nil {
			return c, fmt.Errorf("qemu: %w", err)
		}
		_ = f.Close()
	}
	if c.SMP == 0 {
		c.SMP = 1
	}
	if c.Console == nil {
		c.Console = io.Discard
	}
	if c.Binary == "" {
		c.Binary = c.Arch.QEMU.Binary
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	c.CacheDir, err = cacheDir(c.CacheDir)
	return c, err
}
