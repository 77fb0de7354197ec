// Command overhead measures what being watched costs a guest: the CPU time of
// QEMU with Leakvisor over that without, in interleaved pairs. It exits with 1
// where the goal is missed.
//
//	go run ./internal/bench/overhead -kernel FILE -vmlinux FILE boot=INITRD alloc=INITRD
//
// Each workload is an initramfs that powers off when it is done.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv/qemu"
	"github.com/leakvisor/leakvisor/leak"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/symbols"
)

// goal is the highest ratio of CPU times that we accept.
const goal = 1.25

type bench struct {
	kernel, cache string
	memory        uint64
	smp           int
	img           *symbols.Image
}

func main() {
	var b bench
	kernel := flag.String("kernel", "", "kernel to boot")
	vmlinux := flag.String("vmlinux", "", "its vmlinux")
	cache := flag.String("cache", "", "cache folder (default: leakvisor in the user's cache folder)")
	pairs := flag.Int("pairs", 5, "how often each is run with and without")
	flag.IntVar(&b.smp, "smp", 1, "vCPUs")
	flag.Parse()
	b.kernel, b.cache, b.memory = *kernel, *cache, 512<<20
	if *kernel == "" || *vmlinux == "" || flag.NArg() == 0 || *pairs < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ok, err := b.run(*vmlinux, flag.Args(), *pairs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench overhead:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run measures all workloads and says whether the goal was met.
func (b *bench) run(vmlinux string, workloads []string, pairs int) (bool, error) {
	var err error
	if b.img, err = symbols.Open(vmlinux, &symbols.Options{CacheDir: b.cache}); err != nil {
		return false, err
	}
	defer b.img.Close()
	ok := true
	for _, w := range workloads {
		name, initrd, found := strings.Cut(w, "=")
		if !found {
			return false, fmt.Errorf("%q is not NAME=INITRD", w)
		}
		var ratios, plain, watched, pauses []float64
		var events uint64
		for i := range pairs {
			without, err := b.without(initrd)
			if err != nil {
				return false, err
			}
			with, n, pause, err := b.with(initrd)
			if err != nil {
				return false, err
			}
			fmt.Fprintf(os.Stderr, "%s, pair %d of %d: %.2f s without, %.2f s with\n", name, i+1, pairs, without, with)
			plain, watched, ratios, events = append(plain, without), append(watched, with), append(ratios, with/without), n
			pauses = append(pauses, pause)
		}
		ratio := median(ratios)
		fmt.Printf("%s CPU without: %.2f s\n%s CPU with: %.2f s, %d allocator events\n", name, median(plain), name, median(watched), events)
		fmt.Printf("%s pause for the scan: %.1f ms\n", name, median(pauses))
		fmt.Printf("%s overhead: %.3f (goal: at most %.2f)\n", name, ratio, goal)
		ok = ok && ratio <= goal
	}
	return ok, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// without runs the guest as a user would without Leakvisor, and returns
// QEMU's CPU time in seconds.
func (b *bench) without(initrd string) (float64, error) {
	q := b.img.Arch().QEMU
	cmd := exec.Command(q.Binary, "-no-user-config", "-nodefaults", "-display", "none", "-machine", q.Machine, "-cpu", q.CPU, "-accel", "tcg",
		"-smp", fmt.Sprint(b.smp), "-m", fmt.Sprintf("%dM", b.memory>>20), "-kernel", b.kernel, "-initrd", initrd, "-append", args(q), "-serial", "null", "-no-reboot")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", q.Binary, err, out)
	}
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}

// with runs the guest under Leakvisor, and returns QEMU's CPU time in seconds,
// the number of events, and how long the guest was paused in milliseconds.
func (b *bench) with(initrd string) (cpu float64, events uint64, pause float64, err error) {
	before, err := children()
	if err != nil {
		return 0, 0, 0, err
	}
	ctx := context.Background()
	m, err := qemu.Start(ctx, qemu.Config{
		Arch: b.img.Arch(), Kernel: b.kernel, Initrd: initrd, Append: args(b.img.Arch().QEMU),
		MemoryBytes: b.memory, SMP: b.smp, Console: io.Discard, CacheDir: b.cache,
	})
	if err != nil {
		return 0, 0, 0, err
	}
	defer m.Close()
	var last *report.Report
	s, err := leak.New(b.img, m, &leak.Options{
		Track:     []hooks.Class{hooks.Slab, hooks.Vmalloc, hooks.PerCPU},
		ScanAtEnd: true,
		Progress:  func(p leak.Progress) { events = p.Events },
		Report:    func(r *report.Report) error { last = r; return nil },
	})
	if err != nil {
		return 0, 0, 0, err
	}
	if err := s.Run(ctx); err != nil {
		return 0, 0, 0, err
	}
	if err := m.Close(); err != nil {
		return 0, 0, 0, err
	}
	if last == nil || last.Verdict == report.Unknown {
		return 0, 0, 0, fmt.Errorf("the run was not proven live: %q", reasons(last))
	}
	after, err := children()
	return (after - before).Seconds(), events, last.Scan.PausedMS, err
}

func args(q *arch.QEMU) string { return "console=" + q.Console + " panic=-1" }

// children returns the CPU time of all processes that were waited for.
func children() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &r); err != nil {
		return 0, err
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}

func reasons(r *report.Report) []string {
	if r == nil {
		return []string{"nothing was scanned"}
	}
	return r.Reasons
}
