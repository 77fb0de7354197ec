//go:build linux && amd64

package kvm_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/hv/kvm"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/symbols"
)

// envLinux names a folder with vmlinuz, vmlinux (with the cache of its types,
// it needs no debug information), initrd that loads allocbench, and cache.
const envLinux = "LEAKVISOR_KVM_LINUX"

// follower hooks a kernel's slab allocators as a session does, and counts.
type follower struct {
	a       *arch.Arch
	img     *symbols.Image
	hooked  bool
	tracker *hooks.Tracker
}

// noFrames is an Unwinder that finds none.
type noFrames struct{}

func (noFrames) Unwind(uint64, guestmem.GVA, guestmem.GVA, uint64, []byte, []guestmem.GVA) (int, bool) {
	return 0, true
}

// Method implements symbols.Unwinder.
func (noFrames) Method() string { return "none" }

func (l *follower) KernelEntered(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
	if !l.hooked {
		return nil, nil
	}
	text, err := l.img.Symbol("_text")
	if err != nil {
		return nil, err
	}
	etext, err := l.img.Symbol("_etext")
	if err != nil {
		return nil, err
	}
	slide, err := hooks.FindSlide(l.a, l.img, text.Addr, etext.Addr, pc, code)
	if err != nil {
		return nil, err
	}
	context, err := kernel.NewEventContext(l.img, slide)
	if err != nil {
		return nil, err
	}
	plan, err := hooks.BuildPlan(l.a, l.img, slide, hooks.PlanOptions{Track: []hooks.Class{hooks.Slab}})
	if err != nil {
		return nil, err
	}
	l.tracker = hooks.NewTracker(l.a, plan, noFrames{}, func([]byte) hooks.Task { return hooks.Task{} })
	p := &hv.Plan{Hooks: plan.Hooks}
	for _, f := range context.Fetches {
		p.Context = append(p.Context, hv.Fetch(f))
	}
	for _, f := range context.TaskStack {
		p.TaskStack = append(p.TaskStack, hv.Fetch(f))
	}
	for _, name := range l.a.Linux.TextPatchers {
		for _, s := range l.img.Symbols(name) {
			p.Patchers = append(p.Patchers, guestmem.GVA(s.Addr+slide))
		}
	}
	return p, nil
}

func (l *follower) Event(ev *hv.Event) error {
	l.tracker.Event(ev)
	return nil
}

// console keeps what the guest prints.
type console struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(b)
}

var benchLine = regexp.MustCompile(`allocbench: (\d+) calls, (\d+) ns`)

// BenchmarkLinux times an allocator's call in a stock kernel: the mean of
// kmalloc and kfree, by the kernel's own clock.
func BenchmarkLinux(b *testing.B) {
	dir := os.Getenv(envLinux)
	if dir == "" {
		b.Skipf("needs %s: a kernel that this host's KVM can run (make bench-kvm)", envLinux)
	}
	img, err := symbols.Open(filepath.Join(dir, "vmlinux"), &symbols.Options{CacheDir: filepath.Join(dir, "cache")})
	if err != nil {
		b.Fatal(err)
	}
	defer img.Close()
	for _, name := range []string{"plain", kvm.HookTrap, kvm.HookRing} {
		b.Run(name, func(b *testing.B) {
			var ns float64
			for b.Loop() {
				var out console
				cfg := kvm.Config{
					Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd"),
					Append:      "console=ttyS0 quiet panic=-1",
					MemoryBytes: 512 << 20, Console: &out,
				}
				l := &follower{a: img.Arch(), img: img, hooked: name != "plain"}
				if l.hooked {
					cfg.Hook = name
				}
				m, err := kvm.Start(b.Context(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				err = m.Run(b.Context(), l)
				if cerr := m.Close(); err == nil {
					err = cerr
				}
				found := benchLine.FindSubmatch(out.b.Bytes())
				if err != nil || found == nil {
					b.Fatalf("run: %v; console:\n%s", err, out.b.String())
				}
				if l.hooked {
					s := l.tracker.Stats()
					b.Logf("%s: %d entries, %d exits, lost %d", m.Mechanism(), s.Entries, s.Exits, m.Lost())
					if s.Entries != s.Exits || m.Lost() != 0 {
						b.Error("not every call was seen to return")
					}
				}
				calls, _ := strconv.ParseFloat(string(found[1]), 64)
				if ns, _ = strconv.ParseFloat(string(found[2]), 64); calls > 0 {
					ns /= calls
				}
			}
			b.ReportMetric(ns, "ns/call")
			b.ReportMetric(0, "ns/op")
		})
	}
}
