package metag

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/hv/emu"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// LEAKVISOR_CSMITH is how many random programs are compared (without it, few),
// LEAKVISOR_CSMITH_SEED the first one's seed.
const (
	csmithCount = "LEAKVISOR_CSMITH"
	csmithSeed  = "LEAKVISOR_CSMITH_SEED"
)

// Random C programs print the same checksum here as on the host. They have
// no 64-bit numbers, as internal/metagcc has no arguments on the stack and no
// library for them.
func TestCsmith(t *testing.T) {
	csmith, err := exec.LookPath("csmith")
	if err != nil {
		guests.Missing(t, "csmith", "apt-get install csmith libcsmith-dev")
	}
	gcc := guests.Tool(t, "metag.sh", "metag-linux-gcc")
	n, seed := setting(t, csmithCount, 10), setting(t, csmithSeed, 1)
	if testing.Short() {
		n = min(n, 2)
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	compile := func(name, source string, options ...string) {
		options = append(options, "-w", "-ffreestanding", "-nostdinc", "-ffunction-sections", "-fno-omit-frame-pointer", "-Itestdata/csmith/include", "-I/usr/include/csmith")
		command(t, "", gcc, append(options, "-c", "-o", in(name), source)...)
	}
	compile("start.o", "testdata/csmith/start.S")
	compile("runtime.o", "testdata/csmith/runtime.c", "-O1", "-fno-builtin", "-mno-div")
	compared, endless, instructions := 0, 0, uint64(0)
	for ; compared < n && !t.Failed(); seed++ {
		source := in("random.c")
		command(t, dir, csmith, "--seed", strconv.Itoa(seed), "--no-float", "--no-packed-struct", "--no-argc", "--no-longlong", "--no-divs", "--output", source)
		command(t, "", "gcc", "-w", "-O1", "-I/usr/include/csmith", "-o", in("host"), source)
		want, err := limited(in("host"), time.Second)
		if errors.Is(err, context.DeadlineExceeded) {
			endless++ // csmith does not promise that its programs end
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		level := fmt.Sprintf("-O%d", seed%4)
		compile("random.o", source, level, "-march=rv32e") // products and quotients are calls
		command(t, "", gcc, "-Wl,-Ttext=0x10010000,--gc-sections,-e,__start", "-o", in("guest"), in("start.o"), in("random.o"), in("runtime.o"))
		got, ran, err := run(t, in("guest"), time.Minute)
		if err != nil || got != want {
			t.Errorf("seed %d with %s: the guest printed %q, the host %q; %v", seed, level, got, want, err)
		}
		compared++
		instructions += ran
	}
	t.Logf("%d programs, %d instructions; %d programs do not end", compared, instructions, endless)
}

func setting(t *testing.T, name string, without int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return without
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// command runs one in a folder: csmith leaves a file there.
func command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func limited(program string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, program).Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return string(out), err
}

// run runs an ELF file to its end, and returns what it printed and how many
// instructions it ran.
func run(t *testing.T, file string, limit time.Duration) (string, uint64, error) {
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
	err = m.Run(ctx, nobody{})
	return out.String(), m.Instructions(), err
}
