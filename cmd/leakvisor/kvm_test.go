package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/hv/kvm"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// envBed asks for tests under KVM on emulated hardware, which take minutes.
const envBed = "LEAKVISOR_KVM_BED"

// bedLimit is how long one run there may take.
const bedLimit = 15 * time.Minute

// runLimit is how long a guest may run; then the program shows what it does.
const runLimit = 10 * time.Minute

// bed is what the test bed needs of this host.
type bed struct {
	dir   string
	files []string // arguments of bed.sh
}

// sh runs a command of this host's.
func (b *bed) sh(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

func (b *bed) path(name string) string { return filepath.Join(b.dir, name) }

// run runs a static program in the bed and returns its exit status, what it
// printed, and the folder with its results.
func (b *bed) run(t *testing.T, files []string, command ...string) (status int, output, results string) {
	t.Helper()
	results = t.TempDir()
	args := []string{"--out", results, "--timeout", fmt.Sprint(int(bedLimit.Seconds()))}
	for _, f := range append(files, b.files...) {
		args = append(args, "--file", f)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bedLimit+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "../../scripts/kvm/bed.sh", append(append(args, "--"), command...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return cmd.ProcessState.ExitCode(), out.String(), results
}

// TestKVMBed runs what needs a true KVM under emulated hardware: the tests of
// package kvm, and a stock kernel with planted leaks, whose verdict must be
// that of QEMU's plugin.
func TestKVMBed(t *testing.T) {
	if os.Getenv(envBed) != "1" {
		t.Skipf("needs %s=1: it takes minutes (make test-kvm)", envBed)
	}
	b := &bed{dir: t.TempDir()}
	b.sh(t, []string{"CGO_ENABLED=0"}, "go", "build", "-o", b.path("leakvisor"), ".")

	t.Run("freestanding", func(t *testing.T) {
		t.Parallel()
		b.sh(t, []string{"CGO_ENABLED=0"}, "go", "test", "-c", "-o", b.path("kvm.test"), "../../hv/kvm")
		b.sh(t, nil, "../../testdata/guests/freestanding/build.sh", b.path("guest"))
		status, output, _ := b.run(t, []string{b.path("kvm.test"), b.path("guest")},
			"/bin/env", "LEAKVISOR_KVM_GUEST=/bed/guest", "./kvm.test", "-test.v")
		if passed := strings.Count(output, "--- PASS: Test"); status != 0 || passed < 20 {
			t.Errorf("exit status %d, %d tests passed:\n%s", status, passed, output)
		}
	})

	g := guests.Find(t, guests.Default)
	modules := []guests.Built{guests.Module(t, g, "holder"), guests.Module(t, g, "groundtruth"), guests.Module(t, g, "rmmodleak")}
	initrd := guests.Initramfs(t, g, plantScript, modules...)
	// What QEMU's plugin says. It leaves the symbols' cache behind, so that
	// the bed needs no debug information.
	want := map[int][]string{}
	var id string
	for cpus := 1; cpus <= 2; cpus++ {
		r := guestRun{initrd: initrd, env: []string{"LEAKVISOR_CACHE=" + b.path("cache")}}
		r.start(t, g, "", nil, "--smp", fmt.Sprint(cpus))
		r.wait(t, exitLeaks)
		rep := r.report(t)
		want[cpus], id = leaks(rep), rep.Guest.BuildID
	}
	index := "symbols-" + id + ".cache"
	b.sh(t, nil, "../../scripts/kvm/symbols.sh", g.VMLinux, b.path("vmlinux"))
	files := []string{b.path("leakvisor"), g.Kernel, b.path("vmlinux"), initrd + "=/bed/initrd", filepath.Join(b.path("cache"), index) + "=/cache/" + index}
	for _, hook := range []string{kvm.HookRing, kvm.HookTrap} {
		for cpus := 1; cpus <= 2; cpus++ {
			t.Run(fmt.Sprintf("%s/cpus=%d", hook, cpus), func(t *testing.T) {
				t.Parallel()
				status, output, results := b.run(t, files, "/bin/env", "LEAKVISOR_CACHE=/cache", "timeout", "-s", "QUIT", fmt.Sprint(int(runLimit.Seconds())), "./leakvisor", "run", "--quiet",
					"--hv", "kvm", "--hook", hook, "--smp", fmt.Sprint(cpus), "--kernel", "vmlinuz", "--vmlinux", "vmlinux", "--initrd", "initrd",
					"--append", "quiet panic=-1", "--console", "/out/console", "--format", "json", "--output", "/out/report")
				r := guestRun{dir: results}
				if status != exitLeaks {
					console, _ := os.ReadFile(r.path("console"))
					t.Fatalf("exit status %d:\n%s\nconsole:\n%s", status, output, console)
				}
				rep := r.report(t)
				live(t, rep)
				if rep.Guest.HV != hvKVM || !strings.HasPrefix(rep.Guest.Mechanism, "KVM "+hook) || rep.Guest.VCPUs != cpus {
					t.Errorf("%d vCPUs under %s by %s", rep.Guest.VCPUs, rep.Guest.HV, rep.Guest.Mechanism)
				}
				judge(t, rep, r.plants(t))
				if got := leaks(rep); !slices.Equal(got, want[cpus]) {
					t.Errorf("the verdict is\n%s\nunder QEMU\n%s", strings.Join(got, "\n"), strings.Join(want[cpus], "\n"))
				}
			})
		}
	}
}

// leaks tells what leaked and which code made it: that must be equal in two
// runs, while addresses, tasks and what was interrupted differ.
func leaks(rep *report.Report) []string {
	var out []string
	for i := range rep.Orphans {
		o := &rep.Orphans[i]
		line := fmt.Sprintf("%s %d %s", o.Kind, o.Size, o.Cache)
		for _, f := range o.Backtrace {
			line += fmt.Sprintf(" %s+%#x", f.Symbol, f.Offset)
			if f.Module != "" {
				break
			}
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// TestChooseHV: "auto" is KVM only for guests that can run there.
func TestChooseHV(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	auto := runCmd{HV: hvAuto}
	if got := auto.chooseHV(t.Context(), &arch.Arch{QEMU: &arch.QEMU{}}, log); got != hvQEMU {
		t.Errorf("a foreign guest runs under %s", got)
	}
	want := hvQEMU
	if caps, err := kvm.Probe(t.Context()); err == nil && caps.Kernels && caps.Check() == nil {
		want = hvKVM
	}
	if got := auto.chooseHV(t.Context(), x86.AMD64(), log); got != want {
		t.Errorf("a guest of x86-64 runs under %s, not %s", got, want)
	}
	if got := (&runCmd{HV: hvKVM}).chooseHV(t.Context(), &arch.Arch{}, log); got != hvKVM {
		t.Errorf("--hv kvm is taken for %s", got)
	}
}

// TestKVMErrors: what KVM cannot run is a usage error, with or without KVM on
// this host.
func TestKVMErrors(t *testing.T) {
	g := guests.Find(t, guests.Default)
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 200<<20); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "-q", "--kernel", g.Kernel, "--vmlinux", g.VMLinux, "--memory", "128M"}
	for name, flags := range map[string][]string{
		"initrd too large": {"--hv", "kvm", "--initrd", big},
		"hook without KVM": {"--hv", "qemu", "--hook", "ring"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := run(append(args, flags...)); got != exitUsage {
				t.Errorf("exit status %d, want %d", got, exitUsage)
			}
		})
	}
}
