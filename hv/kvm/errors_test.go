//go:build linux && amd64

package kvm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// held counts what of KVM's this process has: file descriptors, and mappings
// of vCPUs' state.
func held(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.Contains(to, "kvm") {
			n++
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return n + strings.Count(string(maps), "kvm-vcpu")
}

// nothingLeft checks at the test's end that nothing of KVM's is left.
func nothingLeft(t *testing.T) {
	t.Helper()
	before := held(t)
	t.Cleanup(func() {
		if after := held(t); after != before {
			t.Errorf("%d descriptors and mappings of KVM's before, %d after", before, after)
		}
	})
}

func TestNothingLeft(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	before := held(t)
	m, err := startWith(Config{Kernel: g.path, MemoryBytes: 64 << 20, SMP: 2}, caps, false)
	if err != nil {
		t.Fatal(err)
	}
	if held(t) < before+4 {
		t.Errorf("a machine of two vCPUs has only %d descriptors and mappings", held(t)-before)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error("closed twice:", err)
	}
	if after := held(t); after != before {
		t.Errorf("%d descriptors and mappings before, %d after", before, after)
	}
}

func TestNoPermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give up its rights")
	}
	path := filepath.Join(t.TempDir(), "kvm")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	if err := unix.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	_, err := openDevice(path)
	if err := unix.Setfsuid(0); err != nil {
		t.Fatal(err)
	}
	// The folder cannot be searched either; both are a matter of permission.
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "no permission") {
		t.Errorf("error %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	needKVM(t)
	g := buildGuest(t)
	nothingLeft(t)
	dir := t.TempDir()
	big, text := filepath.Join(dir, "big"), filepath.Join(dir, "text")
	for name, size := range map[string]int64{big: 60 << 20, text: 5000} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no kernel", func(c *Config) { c.Kernel = filepath.Join(dir, "absent") }, "no such file"},
		{"no initrd", func(c *Config) { c.Initrd = filepath.Join(dir, "absent") }, "no such file"},
		{"initrd too large", func(c *Config) { c.Initrd = big }, "give the guest more memory"},
		{"not a kernel", func(c *Config) { c.Kernel = text }, "neither"},
		{"too little memory", func(c *Config) { c.MemoryBytes = 8 << 20 }, "more memory"},
		{"next to no memory", func(c *Config) { c.MemoryBytes = 1 }, "are not enough"},
		{"too many vCPUs", func(c *Config) { c.SMP = 1000 }, "vCPUs"},
		{"long command line", func(c *Config) { c.Append = strings.Repeat("x", 1<<20) }, "command line"},
		{"no such hook", func(c *Config) { c.Hook = "fish" }, "kind of hook"},
		{"no device", func(c *Config) { c.Device = filepath.Join(dir, "absent") }, "kvm module"},
	} {
		cfg := Config{Kernel: g.path, MemoryBytes: 64 << 20}
		c.change(&cfg)
		m, err := Start(t.Context(), cfg)
		if err == nil {
			_ = m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

// TestHole runs a guest that has memory on both sides of the PCI hole.
func TestHole(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	m := g.boot(t, caps, "c", func(c *Config) { c.MemoryBytes = 5 << 30 })
	cc := newCallChecker(t, 2)
	if err := run(t, m, &script{plan: &hv.Plan{Hooks: g.allocators(t)}, event: cc.event}); err != nil || cc.entries[0] != 100 {
		t.Errorf("entries %v, %v", cc.entries, err)
	}
	want := []guestmem.Range[guestmem.GPA]{{Start: 0, End: 3 << 30}, {Start: 4 << 30, End: 6 << 30}}
	if got := m.Memory().RAM(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("RAM %v", got)
	}
	for gpa, ok := range map[guestmem.GPA]bool{3<<30 - 8: true, 3 << 30: false, ringGPA: false, 4<<30 - 8: false, 4 << 30: true, 6<<30 - 8: true, 6 << 30: false} {
		if _, err := m.Memory().ViewPhys(gpa, 8); (err == nil) != ok {
			t.Errorf("%#x: %v", uint64(gpa), err)
		}
	}
}

// TestTripleFault: the guest's end is told with where it was.
func TestTripleFault(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	for _, hook := range []string{HookTrap, HookRing} {
		m := g.boot(t, caps, "t", func(c *Config) { c.Hook = hook })
		var gone *hv.ExitError
		if err := run(t, m, &script{plan: &hv.Plan{Hooks: g.allocators(t)}}); !errors.As(err, &gone) || !strings.Contains(err.Error(), "triple fault") {
			t.Errorf("%s: %v", hook, err)
		}
		if err := m.Pause(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := m.Registers(t.Context(), 0); err != nil {
			t.Errorf("%s: registers of a dead guest: %v", hook, err)
		}
	}
}

// envChild makes the test binary run a guest that never ends.
const envChild = "LEAKVISOR_KVM_CHILD"

// TestKilled: a killed tracer takes its guest along; the same machine can be
// had at once.
func TestKilled(t *testing.T) {
	caps := needKVM(t)
	if path := os.Getenv(envChild); path != "" {
		m := openGuest(t, path).boot(t, caps, "s", func(c *Config) { c.Hook = HookAuto })
		h := &script{plan: &hv.Plan{Hooks: []hv.Hook{{Entry: openGuest(t, path).gva(t, "spin"), Sync: true}}}}
		h.event = func(*hv.Event) error { fmt.Println("spinning"); return nil }
		t.Fatal(m.Run(t.Context(), h))
	}
	g := buildGuest(t)
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
		cmd.Env = append(os.Environ(), envChild+"="+g.path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 8)); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(cmd.Process.Pid, sig); err != nil {
			t.Error(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(runLimit):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Fatalf("%v does not end it", sig)
		}
		if err := syscall.Kill(-cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%v: something of it is left: %v", sig, err)
		}
	}
}
