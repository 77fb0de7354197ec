package programs

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/hv/emu"
)

// Library is the folder with the C library, for tests in the folders of
// instruction sets, and Include that with its headers.
const (
	Library = "../../../xtest/programs/c"
	Include = Library + "/include"
)

// Unhooked is a Handler that hooks nothing.
type Unhooked struct{}

// KernelEntered implements hv.Handler.
func (Unhooked) KernelEntered(guestmem.GVA, []byte) (*hv.Plan, error) { return nil, nil }

// Event implements hv.Handler.
func (Unhooked) Event(*hv.Event) error { return nil }

// Run runs an ELF file to its end, and returns what it printed and how many
// instructions, or bundles of them, it ran.
func Run(t testing.TB, isa emu.ISA, file string, limit time.Duration) (string, uint64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	m, err := emu.New(isa, &emu.Config{Kernel: f, Console: &out})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := m.Run(ctx, Unhooked{}); err != nil {
		t.Fatalf("%s: %v; it printed %q", file, err, out.String())
	}
	return out.String(), m.Instructions()
}

// Command runs a command of this machine in a folder, empty for the test's,
// and returns what it prints.
func Command(t testing.TB, dir, name string, args ...string) []byte {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, stderr.Bytes())
	}
	return out.Bytes()
}
