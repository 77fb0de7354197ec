package programs

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

// Headers is where csmith's own header is.
const Headers = "/usr/include/csmith"

// Csmith has csmith make programs, by default as many as few, without floating
// point and packed structures (which would be used through pointers that are
// not aligned), and as options say. For each, guest compiles the source with a
// level of optimisation, runs it, and returns what it printed, which has to be
// what it prints on the host.
func Csmith(t *testing.T, few int, options []string, guest func(t *testing.T, source, level string) string) {
	t.Helper()
	csmith, err := exec.LookPath("csmith")
	if err != nil {
		guests.Missing(t, "csmith", "apt-get install csmith libcsmith-dev")
	}
	n, seed := setting(t, csmithCount, few), setting(t, csmithSeed, 1)
	if testing.Short() {
		n = min(n, 2)
	}
	dir := t.TempDir()
	source, host := filepath.Join(dir, "random.c"), filepath.Join(dir, "host")
	compared, endless := 0, 0
	for ; compared < n && !t.Failed(); seed++ {
		args := append([]string{"--seed", strconv.Itoa(seed), "--no-float", "--no-packed-struct", "--output", source}, options...)
		Command(t, dir, csmith, args...) // it leaves a file in the folder
		Command(t, "", "gcc", "-w", "-O1", "-I"+Headers, "-o", host, source)
		want, err := limited(host, time.Second)
		if errors.Is(err, context.DeadlineExceeded) {
			endless++ // csmith does not promise that its programs end
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		level := fmt.Sprintf("-O%d", seed%4)
		if got := guest(t, source, level); got != want {
			t.Errorf("seed %d with %s: the guest printed %q, the host %q", seed, level, got, want)
		}
		compared++
	}
	t.Logf("%d programs; %d programs do not end", compared, endless)
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

func limited(program string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, program).Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return string(out), err
}
