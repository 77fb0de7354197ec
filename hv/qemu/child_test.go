package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/hv"
)

// Tests of what happens to a whole process run it as a child: this test
// binary again, with a childJob in the environment.

const childEnv = "LEAKVISOR_QEMU_TEST_CHILD"

type childJob struct {
	Config struct {
		Kernel, Append, CacheDir string
		SMP                      int
	}
	Plan hv.Plan
}

// childMain runs a guest, prints QEMU's process ID, and at the end what came
// of it.
func childMain(text string) {
	var job childJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		fmt.Println("child:", err)
		os.Exit(1)
	}
	m, err := Start(context.Background(), Config{
		Arch: x86.AMD64(), Kernel: job.Config.Kernel, Append: job.Config.Append, SMP: job.Config.SMP,
		CacheDir: job.Config.CacheDir, MemoryBytes: 64 << 20,
	})
	if err != nil {
		fmt.Println("child:", err)
		os.Exit(1)
	}
	fmt.Println("qemu", m.proc.cmd.Process.Pid)
	n := 0
	err = m.Run(context.Background(), &handler{plan: planOf(&job.Plan), event: func(*hv.Event) error {
		if n++; n == 1000 {
			fmt.Println("going")
		}
		return nil
	}})
	fmt.Println("end", n, m.Lost(), err)
	_ = m.Close()
	os.Exit(0)
}

// startChild runs the test guest in a child process; lines reads its output.
func startChild(t *testing.T, g *testGuest, smp int, args string, sync bool) (cmd *exec.Cmd, lines *bufio.Scanner, qemu int) {
	t.Helper()
	var job childJob
	job.Config.Kernel, job.Config.Append, job.Config.CacheDir, job.Config.SMP = g.path, args, testCache(t), smp
	job.Plan = *g.plan(sync)
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines = bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the child said nothing")
	}
	if _, err := fmt.Sscanf(lines.Text(), "qemu %d", &qemu); err != nil {
		t.Fatalf("the child said %q", lines.Text())
	}
	return cmd, lines, qemu
}

func expectLine(t *testing.T, lines *bufio.Scanner, prefix string) string {
	t.Helper()
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), prefix) {
		t.Fatalf("the child said %q, want %s…", lines.Text(), prefix)
	}
	return lines.Text()
}

// QEMU ends with the process that started it, however that ends: while it
// runs, while a vCPU waits in a Sync hold, while the ring is full.
func TestParentKilled(t *testing.T) {
	g := needGuest(t)
	for _, state := range []string{"running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			cmd, lines, qemu := startChild(t, g, 2, "l2", true)
			expectLine(t, lines, "going")
			if state == "stopped" {
				// Both vCPUs soon wait for it.
				_ = cmd.Process.Signal(syscall.SIGSTOP)
				time.Sleep(300 * time.Millisecond)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				// An orphan is reaped by whoever adopts it: a zombie has ended.
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", qemu))
				if err != nil || strings.Contains(string(stat), ") Z ") {
					return
				}
				if time.Now().After(end) {
					_ = syscall.Kill(qemu, syscall.SIGKILL)
					t.Fatal("QEMU outlived its parent")
				}
			}
		})
	}
}

// A reader that is stopped in the middle for a while loses nothing.
func TestReaderStopped(t *testing.T) {
	g := needGuest(t)
	const cpus, rounds = 2, 8000
	cmd, lines, _ := startChild(t, g, cpus, fmt.Sprintf("p%d%d", cpus, rounds), false)
	expectLine(t, lines, "going")
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(2 * time.Second)
	_ = cmd.Process.Signal(syscall.SIGCONT)
	want := fmt.Sprintf("end %d 0 <nil>", cpus*rounds*14)
	if got := expectLine(t, lines, "end"); got != want {
		t.Errorf("the child said %q, want %q", got, want)
	}
}

// Nothing that a run opened is left behind.
func TestNoLeftovers(t *testing.T) {
	g := needGuest(t)
	open := func() string {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("missing on this host: /proc")
		}
		var all []string
		for _, e := range entries {
			to, _ := os.Readlink("/proc/self/fd/" + e.Name())
			if !strings.HasPrefix(to, "/proc/") { // the listing itself
				all = append(all, to)
			}
		}
		return strings.Join(all, "\n")
	}
	run := func() {
		m, err := Start(context.Background(), g.config(t, 2, "p210"))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Run(limited(t), &handler{plan: planOf(g.plan(true))}); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if err := syscall.Kill(m.proc.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("QEMU is still there: %v", err)
		}
	}
	run() // what the runtime opens for good
	before := open()
	run()
	if after := open(); after != before {
		t.Errorf("open files before:\n%s\nafter:\n%s", before, after)
	}
	entries, err := os.ReadDir(testCache(t))
	if err != nil || len(entries) != 1 {
		t.Errorf("the cache holds %v (%v), want the plugin alone", entries, err)
	}
}
