package tilegx

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/hv/emu"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// unhooked is a handler for guests of which only the console matters.
type unhooked struct{}

func (unhooked) KernelEntered(guestmem.GVA, []byte) (*hv.Plan, error) { return nil, nil }
func (unhooked) Event(*hv.Event) error                                { return nil }

// run runs an ELF file to its end, and returns what it printed.
func run(t testing.TB, file string, limit time.Duration) (string, uint64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	m, err := emu.New(ISA(), &emu.Config{Kernel: f, Console: &out})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := m.Run(ctx, unhooked{}); err != nil {
		t.Fatalf("%s: %v; it printed %q", file, err, out.String())
	}
	return out.String(), m.Instructions()
}

// compiler builds programs without a kernel.
type compiler struct {
	gcc, dir string
}

func newCompiler(t testing.TB) *compiler {
	t.Helper()
	return &compiler{guests.Tool(t, "tilegx.sh", "tilegx-linux-gcc"), t.TempDir()}
}

// build compiles sources to an ELF file.
func (c *compiler) build(t testing.TB, name string, args ...string) string {
	t.Helper()
	out := filepath.Join(c.dir, name)
	args = append([]string{
		"-w", "-static", "-nostdlib", "-ffreestanding", "-DSTACK=0x3f00000", "-Wl,-Ttext=0x10000", "-ffunction-sections", "-Wl,--gc-sections", "-Itestdata/csmith/include",
		"-o", out, "testdata/csmith/start.S", "testdata/csmith/runtime.c",
	}, args...)
	command(t, c.gcc, append(args, "-lgcc")...)
	return out
}

func command(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, stderr.Bytes())
	}
	return out.Bytes()
}
