// Command symbols measures what loading a kernel's debug symbols costs: all
// that a run asks of them, first with an empty cache and then with a filled
// one, each in a process of its own. It exits with 1 where a goal is missed.
//
//	go run ./internal/bench/symbols -vmlinux FILE
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/symbols"
)

// The goals, for a distribution's vmlinux of 590 MB.
const (
	coldCPU = 5 * time.Second
	coldRSS = 1000 // MB
	warmCPU = 300 * time.Millisecond
)

// runs is how often each is measured; the median counts.
const runs = 3

func main() {
	vmlinux := flag.String("vmlinux", os.Getenv("LEAKVISOR_VMLINUX"), "vmlinux with debug symbols (default: $LEAKVISOR_VMLINUX)")
	cache := flag.String("load", "", "load once with this cache folder, and measure nothing (used by the command itself)")
	flag.Parse()
	err := errors.New("-vmlinux is missing")
	switch {
	case *vmlinux == "":
	case *cache != "":
		err = load(*vmlinux, *cache)
	default:
		err = measure(*vmlinux)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench symbols:", err)
		os.Exit(1)
	}
}

// load asks for what a run asks for.
func load(vmlinux, cache string) error {
	im, err := symbols.Open(vmlinux, &symbols.Options{CacheDir: cache})
	if err != nil {
		return err
	}
	if _, err := im.Release(); err != nil {
		return err
	}
	const slide = 16 << 20
	space := symbols.NewSpace(im, slide)
	if _, err := space.Unwinder(); err != nil {
		return err
	}
	if _, err := kernel.NewEventContext(im, slide); err != nil {
		return err
	}
	if _, err := hooks.BuildPlan(im.Arch(), im, slide, hooks.PlanOptions{Track: []hooks.Class{hooks.Slab, hooks.Vmalloc, hooks.PerCPU}}); err != nil {
		return err
	}
	if _, err := kernel.New(noMemory{}, noMemory{}, im, slide); err != nil {
		return err
	}
	return im.Close()
}

// noMemory is a guest that has no memory: only layouts are asked for.
type noMemory struct{}

func (noMemory) View(a guestmem.GVA, _ int) ([]byte, error) {
	return nil, &guestmem.AddressError{Addr: uint64(a), Reason: "there is no guest"}
}

func (noMemory) ViewPhys(a guestmem.GPA, _ int) ([]byte, error) {
	return nil, &guestmem.AddressError{Addr: uint64(a), Phys: true, Reason: "there is no guest"}
}

func (noMemory) RAM() []guestmem.Range[guestmem.GPA] { return nil }

// cost is what one process took.
type cost struct {
	cpu, wall time.Duration
	rss       int64 // peak, MB
}

func measure(vmlinux string) error {
	var cold, warm []cost
	for range runs {
		dir, err := os.MkdirTemp("", "bench-symbols-")
		if err != nil {
			return err
		}
		for _, list := range []*[]cost{&cold, &warm} {
			c, err := child(vmlinux, dir)
			if err != nil {
				_ = os.RemoveAll(dir)
				return err
			}
			*list = append(*list, c)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	missed := false
	line := func(name, value, goal string, ok bool) {
		if goal != "" {
			goal = " (goal: " + goal + ")"
		}
		if !ok {
			missed = true
			goal += " MISSED"
		}
		fmt.Printf("%s: %s%s\n", name, value, goal)
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
	by := func(list []cost, of func(cost) int64) int64 {
		var v []int64
		for _, c := range list {
			v = append(v, of(c))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	cpu := func(c cost) int64 { return int64(c.cpu) }
	wall := func(c cost) int64 { return int64(c.wall) }
	rss := func(c cost) int64 { return c.rss }

	d := time.Duration(by(cold, cpu))
	line("cold CPU", seconds(d), "at most "+seconds(coldCPU), d <= coldCPU)
	line("cold wall", seconds(time.Duration(by(cold, wall))), "", true)
	mb := by(cold, rss)
	line("cold peak memory", fmt.Sprintf("%d MB", mb), fmt.Sprintf("at most %d MB", coldRSS), mb <= coldRSS)
	d = time.Duration(by(warm, cpu))
	line("warm CPU", seconds(d), "at most "+seconds(warmCPU), d <= warmCPU)
	line("warm wall", seconds(time.Duration(by(warm, wall))), "", true)
	line("warm peak memory", fmt.Sprintf("%d MB", by(warm, rss)), "", true)
	if missed {
		return errors.New("a goal is missed")
	}
	return nil
}

// child loads once in a process of its own.
func child(vmlinux, cache string) (cost, error) {
	self, err := os.Executable()
	if err != nil {
		return cost{}, err
	}
	cmd := exec.Command(self, "-vmlinux", vmlinux, "-load", cache)
	cmd.Stderr = os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, err
	}
	c := cost{wall: time.Since(start), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.rss = u.Maxrss * 1024 / 1e6 // kB on Linux
	}
	return c, nil
}
