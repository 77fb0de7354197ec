package tilegx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

// LEAKVISOR_CSMITH is how many random programs are compared (without it, few),
// LEAKVISOR_CSMITH_SEED the first one's seed.
const (
	csmithCount = "LEAKVISOR_CSMITH"
	csmithSeed  = "LEAKVISOR_CSMITH_SEED"
)

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

// Random C programs print the same checksum here as on the host (those with packed
// structures would use what is not aligned through pointers). Their code is
// also disassembled as binutils' objdump does it.
func TestCsmith(t *testing.T) {
	c := newCompiler(t)
	csmith, err := exec.LookPath("csmith")
	if err != nil {
		guests.Missing(t, "csmith", "apt-get install csmith libcsmith-dev")
	}
	n, seed := setting(t, csmithCount, 5), setting(t, csmithSeed, 1)
	if testing.Short() {
		n = min(n, 2)
	}
	compared, bundles, endless := 0, 0, 0
	for ; compared < n && !t.Failed(); seed++ {
		source := filepath.Join(c.dir, "random.c")
		command(t, csmith, "--seed", strconv.Itoa(seed), "--no-float", "--no-packed-struct", "--output", source)
		host := filepath.Join(c.dir, "host")
		command(t, "gcc", "-w", "-O1", "-I/usr/include/csmith", "-o", host, source)
		want, err := limited(host, time.Second)
		if errors.Is(err, context.DeadlineExceeded) {
			endless++ // csmith does not promise that its programs end
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		level := fmt.Sprintf("-O%d", seed%4)
		guest := c.build(t, "guest", level, "-I/usr/include/csmith", source)
		if got, _ := run(t, guest, time.Minute); got != want {
			t.Errorf("seed %d with %s: the guest printed %q, the host %q", seed, level, got, want)
		}
		bundles += compareText(t, guest, "-d")
		compared++
	}
	t.Logf("%d programs, %d bundles; %d programs do not end", compared, bundles, endless)
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
