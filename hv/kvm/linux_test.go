//go:build linux && amd64

package kvm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/hv/kvm"
	"github.com/leakvisor/leakvisor/symbols"
)

// Environment of TestLinux: a folder with vmlinuz, vmlinux (debug information
// is not needed) and initrd, and what else the guest is given.
const (
	envLinux  = "LEAKVISOR_KVM_LINUX"
	envHook   = "LEAKVISOR_KVM_HOOK"
	envVCPUs  = "LEAKVISOR_KVM_VCPUS"
	envAppend = "LEAKVISOR_KVM_APPEND"
	envLimit  = "LEAKVISOR_KVM_LIMIT"
)

// Method implements symbols.Unwinder.
func (noFrames) Method() string { return "none" }

// linuxPatchers are the functions by which Linux rewrites return sites at
// boot (arch/x86/kernel/alternative.c, since 5.19).
var linuxPatchers = []string{"apply_returns"}

// tracked is a Linux guest whose allocators are followed.
type tracked struct {
	t       *testing.T
	a       *arch.Arch
	img     *symbols.Image
	plan    *hooks.Plan
	tracker *hooks.Tracker
	slide   uint64
	events  uint64
	syncs   []string
	vcpus   map[int]uint64
}

// noFrames is an Unwinder that finds none.
type noFrames struct{}

func (noFrames) Unwind(uint64, guestmem.GVA, guestmem.GVA, uint64, []byte, []guestmem.GVA) (int, bool) {
	return 0, true
}

func (l *tracked) KernelEntered(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
	text, err := l.img.Symbol("_text")
	if err != nil {
		return nil, err
	}
	etext, err := l.img.Symbol("_etext")
	if err != nil {
		return nil, err
	}
	if l.slide, err = hooks.FindSlide(l.a, l.img, text.Addr, etext.Addr, pc, code); err != nil {
		return nil, err
	}
	l.t.Logf("kernel entered at %#x, slide %#x", uint64(pc), l.slide)
	if l.plan, err = hooks.BuildPlan(l.a, l.img, l.slide, hooks.PlanOptions{Track: []hooks.Class{hooks.Slab, hooks.Vmalloc, hooks.PerCPU}}); err != nil {
		return nil, err
	}
	l.tracker = hooks.NewTracker(l.a, l.plan, noFrames{}, func([]byte) hooks.Task { return hooks.Task{} })
	p := &hv.Plan{Hooks: l.plan.Hooks}
	for _, name := range linuxPatchers {
		for _, s := range l.img.Symbols(name) {
			p.Patchers = append(p.Patchers, guestmem.GVA(s.Addr+l.slide))
		}
	}
	return p, nil
}

func (l *tracked) Event(ev *hv.Event) error {
	if ev.Seq != l.events {
		return fmt.Errorf("event %d came as %d", ev.Seq, l.events)
	}
	l.events++
	l.vcpus[ev.VCPU]++
	l.tracker.Event(ev)
	if ev.Kind == hv.Entry && l.plan.Targets[ev.Hook].Moment != nil {
		l.syncs = append(l.syncs, l.plan.Targets[ev.Hook].Symbol)
	}
	return nil
}

// TestLinux boots a stock kernel to power-off and proves that every call of an
// allocator was seen to return.
func TestLinux(t *testing.T) {
	dir := os.Getenv(envLinux)
	if dir == "" {
		t.Skipf("needs %s: a folder with vmlinuz, vmlinux and initrd, on a host whose KVM runs stock kernels (scripts/kvm/linux.sh makes both)", envLinux)
	}
	number := func(name string, other int) int {
		n, err := strconv.Atoi(os.Getenv(name))
		if err != nil {
			return other
		}
		return n
	}
	img, err := symbols.Open(filepath.Join(dir, "vmlinux"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	var out io.Writer = os.Stdout
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(number(envLimit, 300))*time.Second)
	defer cancel()
	m, err := kvm.Start(ctx, kvm.Config{
		Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd"),
		Append:      "console=ttyS0 panic=-1 rdinit=/init " + os.Getenv(envAppend),
		MemoryBytes: 512 << 20, SMP: number(envVCPUs, 1), Console: out, Hook: os.Getenv(envHook),
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	l := &tracked{t: t, a: m.Arch(), img: img, vcpus: map[int]uint64{}}
	began := time.Now()
	err = m.Run(ctx, l)
	t.Logf("mechanism %s; run %v; %d events in %v", m.Mechanism(), err, l.events, time.Since(began).Round(time.Millisecond))
	for i := range m.VCPUs() {
		if regs, err := m.Registers(context.Background(), i); err == nil {
			f, _ := img.FuncAt(regs["rip"] - l.slide)
			t.Logf("vCPU %d stands at %#x, %s", i, regs["rip"], f.Name)
		}
	}
	if err != nil && !errors.Is(err, hv.ErrGuestGone) {
		t.Error(err)
	}
	if err != nil || l.tracker == nil {
		t.FailNow()
	}
	s := l.tracker.Stats()
	open := l.tracker.Open()
	t.Logf("entries %d, exits %d, open %d, unmatched %d, replaced %d, stray frees %v, live %d, lost %d, by vCPU %v",
		s.Entries, s.Exits, len(open), s.Unmatched, s.Replaced, s.StrayFrees, l.tracker.LiveCount(), m.Lost(), l.vcpus)
	t.Logf("moments %v", l.syncs)
	if s.Entries != s.Exits+uint64(len(open)) || s.Unmatched != 0 || s.Replaced != 0 || m.Lost() != 0 || s.Entries < 10000 {
		t.Error("not every call was seen to return")
	}
	for _, o := range open {
		t.Logf("open: %s at %#x", l.plan.Targets[o.Hook].Symbol, uint64(o.SP))
	}
	if len(open) != 0 {
		t.Errorf("%d calls are open after the end", len(open))
	}
}
