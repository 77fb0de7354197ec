package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/symbols"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// asLeakvisor makes the test binary be the program.
const asLeakvisor = "LEAKVISOR_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asLeakvisor) == "1" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// guestRun is one run of the program on a real guest.
type guestRun struct {
	cmd    *exec.Cmd
	dir    string
	stderr bytes.Buffer
	env    []string
	// Instead of the guest's, and of an initrd with the script.
	kernel, vmlinux, initrd string
}

const deadline = 3 * time.Minute

// start starts `leakvisor run` on a guest that does what script says.
func (r *guestRun) start(t *testing.T, g *guests.Guest, script string, modules []guests.Built, flags ...string) {
	t.Helper()
	if _, err := exec.LookPath(g.Emulator); err != nil {
		guests.Missing(t, g.Emulator, "scripts/setup.sh "+g.Name+" installs it")
	}
	if r.kernel == "" {
		r.kernel = g.Kernel
	}
	if r.vmlinux == "" {
		r.vmlinux = g.VMLinux
	}
	if r.initrd == "" {
		r.initrd = guests.Initramfs(t, g, script, modules...)
	}
	boot := []string{"--initrd", r.initrd, "--append", "quiet panic=-1"}
	if g.DTB != "" {
		boot = append(boot, "--dtb", g.DTB)
	}
	r.launch(t, append(boot, flags...)...)
}

// launch starts the program on r's kernel.
func (r *guestRun) launch(t *testing.T, flags ...string) {
	t.Helper()
	r.dir = t.TempDir()
	args := []string{"run", "--kernel", r.kernel, "--vmlinux", r.vmlinux,
		"--timeout", deadline.String(), "--console", r.path("console"), "--format", "json", "--output", r.path("report"), "--hv", "qemu"}
	r.cmd = exec.Command(os.Args[0], append(args, flags...)...)
	r.cmd.Env = append(append(os.Environ(), asLeakvisor+"=1"), r.env...)
	r.cmd.Stderr = &r.stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) })
}

func (r *guestRun) path(name string) string { return filepath.Join(r.dir, name) }

// wait waits for the program's end and checks its exit status, and that
// nothing of it is left.
func (r *guestRun) wait(t *testing.T, status int) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- r.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(deadline + time.Minute):
		t.Fatalf("it hangs; standard error:\n%s", r.stderr.String())
	}
	if got := r.cmd.ProcessState.ExitCode(); got != status {
		console, _ := os.ReadFile(r.path("console"))
		if got == exitLeaks || got == exitUnknown {
			rep := r.report(t)
			t.Logf("reasons: %q", rep.Reasons)
			for i := range min(len(rep.Orphans), 10) {
				t.Log(record(&rep.Orphans[i]))
			}
		}
		t.Fatalf("exit status %d, want %d; standard error:\n%s\nconsole:\n%s", got, status, r.stderr.String(), console)
	}
	r.nothingLeft(t)
}

// nothingLeft checks that no process of the program's group is alive.
func (r *guestRun) nothingLeft(t *testing.T) {
	t.Helper()
	for range 100 {
		if errors.Is(syscall.Kill(-r.cmd.Process.Pid, 0), syscall.ESRCH) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("processes are left")
}

// report reads the one report of the run.
func (r *guestRun) report(t *testing.T) *report.Report {
	t.Helper()
	f, err := os.Open(r.path("report"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rep, err := report.ReadJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// plants reads from the console what the guest's modules planted.
func (r *guestRun) plants(t *testing.T) []guests.Plant {
	t.Helper()
	console, err := os.Open(r.path("console"))
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	plants, err := guests.ReadPlants(console)
	if err != nil {
		t.Fatal(err)
	}
	return plants
}

// waitConsole waits for a text on the guest's console.
func (r *guestRun) waitConsole(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if b, _ := os.ReadFile(r.path("console")); bytes.Contains(b, []byte(text)) {
			return
		}
	}
	t.Fatalf("no %q on the console; standard error:\n%s", text, r.stderr.String())
}

// qemuPID finds the program's QEMU.
func (r *guestRun) qemuPID(t *testing.T) int {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(names) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		var pid, ppid int
		var state string
		at := bytes.LastIndexByte(b, ')')
		if at < 0 || !bytes.Contains(b[:at], []byte("qemu-system")) {
			continue
		}
		_, _ = fmt.Sscanf(string(b), "%d", &pid)
		_, _ = fmt.Sscanf(string(b[at+1:]), "%s %d", &state, &ppid)
		if ppid == r.cmd.Process.Pid {
			return pid
		}
	}
	t.Fatal("no QEMU runs")
	return 0
}

// live checks the proof of liveness.
func live(t *testing.T, r *report.Report) {
	t.Helper()
	liveFreeing(t, r, 1)
}

// liveFreeing is live for a guest in which each vCPU may be freeing so many
// objects that are not free yet.
func liveFreeing(t *testing.T, r *report.Report, freeing uint64) {
	t.Helper()
	l := &r.Liveness
	if l.Entries == 0 || l.Entries != l.Exits+l.InFlight || l.Lost != 0 || len(r.Reasons) != 0 {
		t.Errorf("not proven live: %d entries, %d exits, %d in flight, %d lost, reasons %q", l.Entries, l.Exits, l.InFlight, l.Lost, r.Reasons)
	}
	// kmem_cache_node, the slab of the slab allocator's own descriptors, has
	// one object that is made before anything can be allocated. A call in
	// flight may have taken its object already.
	if l.SlabTracked+l.InFlight+freeing*uint64(r.Guest.VCPUs)+1 < l.SlabObjects || l.StrayFrees != 0 {
		t.Errorf("%d of %d slab objects are tracked, %d stray frees", l.SlabTracked, l.SlabObjects, l.StrayFrees)
	}
}

// plantScript loads all that leaks. The kernel frees a module's init data,
// which holds the last pointer to one of the leaks, some time after its load.
const plantScript = `insmod /modules/rmmodleak.ko
rmmod rmmodleak
insmod /modules/holder.ko
insmod /modules/groundtruth.ko label=some-label spin=1
sleep 1
`

// TestGroundTruth is the claim: every planted leak is reported, with who made
// it, and nothing else, in one scan.
func TestGroundTruth(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		modules := []guests.Built{guests.Module(t, g, "holder"), guests.Module(t, g, "groundtruth"), guests.Module(t, g, "rmmodleak")}
		for cpus := 1; cpus <= min(2, g.MaxCPUs(t)); cpus++ {
			t.Run(fmt.Sprintf("cpus=%d", cpus), func(t *testing.T) {
				groundTruth(t, g, modules, "--smp", fmt.Sprint(cpus))
			})
		}
	})
}

func groundTruth(t *testing.T, g *guests.Guest, modules []guests.Built, flags ...string) {
	t.Helper()
	var r guestRun
	r.start(t, g, plantScript, modules, flags...)
	r.wait(t, exitLeaks)
	rep := r.report(t)
	live(t, rep)
	judge(t, rep, r.plants(t))
}

// TestGroundTruthKFENCE: a kernel whose debugging tool serves allocations
// itself, as often as it can, and notes where each object is.
func TestGroundTruthKFENCE(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		modules := []guests.Built{guests.Module(t, g, "holder"), guests.Module(t, g, "groundtruth"), guests.Module(t, g, "rmmodleak")}
		img, err := symbols.Open(g.VMLinux, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		if _, err := img.Symbol("__kfence_pool"); err != nil {
			t.Skip("this kernel has no KFENCE")
		}
		groundTruth(t, g, modules, "--append", "quiet panic=-1 kfence.sample_interval=1 kfence.skip_covered_thresh=100")
	})
}

// judge compares a report with what was planted.
func judge(t *testing.T, rep *report.Report, plants []guests.Plant) {
	t.Helper()
	leaks := 0
	chance := byChance(rep, plants)
	var hidden []string
	blamed := make([]bool, len(rep.Orphans))
	for _, p := range plants {
		found := false
		for i := range rep.Orphans {
			o := &rep.Orphans[i]
			if !p.Overlaps(uint64(o.Address), o.Size) {
				continue
			}
			if chance && strings.Contains(p.Name, "percpu") && o.Kind != report.PerCPU {
				continue // another object at what is an address there
			}
			if strings.HasPrefix(p.Name, "freed_") && leakAt(o, plants) {
				continue // its memory became another's
			}
			if !p.Leak {
				t.Errorf("%s %s lives, but is reported:\n%s", p.Module, p.Name, record(o))
				continue
			}
			found = true
			if uint64(o.Address) != p.Addr || p.Size != 0 && p.Size != o.Size || o.Comm != p.Comm || o.PID != p.PID || !mentions(o, p) {
				t.Errorf("%s %s (%d bytes at %#x by %s[%d]) is reported as:\n%s", p.Module, p.Name, p.Size, p.Addr, p.Comm, p.PID, record(o))
			}
			blamed[i] = true
		}
		if p.Leak {
			leaks++
			if !found && chance {
				hidden = append(hidden, p.Name)
			} else if !found {
				t.Errorf("%s leaked %s at %#x: not reported", p.Module, p.Name, p.Addr)
			}
		}
	}
	if leaks == 0 {
		t.Error("nothing was planted")
	}
	// What hangs together ("cycle10.3") is hidden by one word.
	words := map[string]bool{}
	for _, name := range hidden {
		group, _, _ := strings.Cut(name, ".")
		words[group] = true
	}
	if t.Logf("hidden by chance: %q", hidden); len(words) > leaks/6 {
		t.Errorf("%d of %d leaks are not reported", len(hidden), leaks)
	}
	for i := range rep.Orphans {
		if o := &rep.Orphans[i]; !blamed[i] && !plantedBy(o) {
			t.Errorf("reported, but nobody's plant:\n%s", record(o))
		}
	}
	t.Logf("%d leaks planted, %d orphans reported, %d events, scan of %.0f ms", leaks, len(rep.Orphans), rep.Liveness.Entries, rep.Scan.PausedMS)
}

// byChance says whether leaks can go unseen by no fault of anybody's, because
// the guest's addresses look like other data: they have no upper bits that are
// set, or per-CPU pointers, which are offsets, look like addresses, or where the
// kernel's image is, what it frees of that is given out, and stacks and data may
// still point there.
func byChance(rep *report.Report, plants []guests.Plant) bool {
	const small, near = 1 << 48, 64 << 20
	text := uint64(0)
	for i := range rep.Orphans {
		for _, f := range rep.Orphans[i].Backtrace {
			if f.Module == "" && f.Symbol != "" {
				text = uint64(f.Addr)
			}
		}
	}
	for _, a := range plants {
		if !a.Leak || strings.Contains(a.Name, "percpu") {
			continue
		}
		if max(a.Addr, text)-min(a.Addr, text) < near {
			return true
		}
		for _, p := range plants {
			perCPU := p.Leak && strings.Contains(p.Name, "percpu")
			if a.Addr < small || perCPU && max(a.Addr, p.Addr)-min(a.Addr, p.Addr) < near {
				return true
			}
		}
	}
	return false
}

// mentions says whether the plant's function is in the backtrace.
func mentions(o *report.Orphan, p guests.Plant) bool {
	for _, f := range o.Backtrace {
		name, _, _ := strings.Cut(f.Symbol, ".")
		if f.Module == p.Module && name == p.Func() {
			return true
		}
	}
	return false
}

// leakAt says whether a planted leak is where o is.
func leakAt(o *report.Orphan, plants []guests.Plant) bool {
	return slices.ContainsFunc(plants, func(p guests.Plant) bool {
		return p.Leak && p.Addr == uint64(o.Address) && mentions(o, p)
	})
}

// plantedBy says whether an object was allocated on behalf of a planted leak:
// what hangs on it leaks with it.
func plantedBy(o *report.Orphan) bool {
	for _, f := range o.Backtrace {
		if f.Module != "" && strings.HasPrefix(f.Symbol, "plant_leak_") {
			return true
		}
	}
	return false
}

func record(o *report.Orphan) string {
	var b strings.Builder
	_ = report.WriteText(&b, &report.Report{Orphans: []report.Orphan{*o}}, &report.TextOptions{RecordsOnly: true})
	return b.String()
}

// TestCleanBoot: a stock kernel that boots to userland and powers off leaks
// nothing, at any age, no pages either.
func TestCleanBoot(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		for cpus := 1; cpus <= min(2, g.MaxCPUs(t)); cpus++ {
			t.Run(fmt.Sprintf("cpus=%d", cpus), func(t *testing.T) {
				var r guestRun
				r.start(t, g, "sleep 100 &\nuname -a", nil, "--smp", fmt.Sprint(cpus), "--track", "slab,vmalloc,percpu,pages")
				r.wait(t, exitClean)
				rep := r.report(t)
				live(t, rep)
				if rep.Guest.Release != g.Release || rep.Verdict != report.Clean || len(rep.Orphans) != 0 {
					t.Errorf("%s, verdict %s, %d orphans", rep.Guest.Release, rep.Verdict, len(rep.Orphans))
				}
			})
		}
	})
}
