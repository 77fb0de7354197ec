//go:build linux && amd64

package kvm

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// envGuest names the built guest where there is no compiler.
const envGuest = "LEAKVISOR_KVM_GUEST"

const guestDir = "../../testdata/guests/freestanding"

// guest is the compiled freestanding guest.
type guest struct {
	path    string
	symbols map[string]elf.Symbol
}

// buildGuest compiles the freestanding guest.
func buildGuest(t testing.TB) *guest {
	t.Helper()
	if path := os.Getenv(envGuest); path != "" {
		return openGuest(t, path)
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skipf("needs gcc, to build the freestanding guest, or %s: the built one", envGuest)
	}
	path := filepath.Join(t.TempDir(), "guest")
	out, err := exec.CommandContext(t.Context(), filepath.Join(guestDir, "build.sh"), path).CombinedOutput()
	if err != nil {
		t.Fatalf("building the guest: %v\n%s", err, out)
	}
	return openGuest(t, path)
}

func openGuest(t testing.TB, path string) *guest {
	t.Helper()
	g := &guest{path: path, symbols: map[string]elf.Symbol{}}
	f, err := elf.Open(g.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		g.symbols[s.Name] = s
	}
	return g
}

func (g *guest) gva(t testing.TB, name string) guestmem.GVA {
	t.Helper()
	s, ok := g.symbols[name]
	if !ok {
		t.Fatalf("the guest has no symbol %s", name)
	}
	return guestmem.GVA(s.Value)
}

// hook hooks a function and all its exits.
func (g *guest) hook(t testing.TB, name string) hv.Hook {
	t.Helper()
	f, err := elf.Open(g.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := g.symbols[name]
	text := f.Section(".text")
	data, err := text.Data()
	if err != nil || s.Size == 0 {
		t.Fatalf("no code of %s: %v", name, err)
	}
	code := data[s.Value-text.Addr:][:s.Size]
	exits, err := x86.AMD64().Text.Exits(s.Value, code, map[uint64]bool{g.symbols["__x86_return_thunk"].Value: true})
	if err != nil {
		t.Fatal(err)
	}
	h := hv.Hook{Name: name, Entry: guestmem.GVA(s.Value), StackBytes: 256}
	for _, x := range exits {
		h.Exits = append(h.Exits, hv.ExitPoint{Addr: guestmem.GVA(x.Addr)})
	}
	if len(h.Exits) == 0 {
		t.Fatalf("%s has no exits", name)
	}
	return h
}

// reader reads guest memory through the guest's own tables.
func (g *guest) reader(t testing.TB, m hv.Machine) guestmem.Reader {
	t.Helper()
	s, err := guestmem.NewAddressSpace(m.Memory(), m.Arch(), guestmem.GPA(g.gva(t, "init_top_pgt"))-0xffffffff80000000)
	if err != nil {
		t.Fatal(err)
	}
	return guestmem.Reader{Memory: s, Arch: m.Arch()}
}

func (g *guest) word(t testing.TB, m hv.Machine, name string) uint64 {
	t.Helper()
	w, err := g.reader(t, m).Word(g.gva(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// script is a handler made of functions; nil ones do nothing.
type script struct {
	plan    *hv.Plan
	entered guestmem.GVA
	code    []byte
	event   func(*hv.Event) error
}

func (s *script) KernelEntered(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
	s.entered, s.code = pc, bytes.Clone(code)
	return s.plan, nil
}

func (s *script) Event(ev *hv.Event) error {
	if s.event == nil {
		return nil
	}
	return s.event(ev)
}

// console is a buffer that a vCPU writes and a test reads.
type console struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(b)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

// boot starts the freestanding guest with a command.
func (g *guest) boot(t testing.TB, caps *Capabilities, command string, change func(*Config)) *Machine {
	t.Helper()
	cfg := Config{Kernel: g.path, Append: command, MemoryBytes: 64 << 20, Hook: HookTrap}
	if change != nil {
		change(&cfg)
	}
	m, err := startWith(cfg, caps, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

const runLimit = 30 * time.Second

func run(t testing.TB, m *Machine, h hv.Handler) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	return m.Run(ctx, h)
}

func TestBootConsolePowerOff(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	out := &console{}
	m := g.boot(t, caps, "", func(c *Config) { c.Console = out })
	h := &script{}
	if err := run(t, m, h); err != nil {
		t.Fatal(err)
	}
	if out.String() != "hello\nbye\n" {
		t.Errorf("console %q", out.String())
	}
	if uint64(h.entered) < m.Arch().Linux.Text || h.entered > g.gva(t, "_etext") || len(h.code) != entryCode {
		t.Errorf("entered at %#x with %d bytes", uint64(h.entered), len(h.code))
	}
}

func TestEndings(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	if err := run(t, g.boot(t, caps, "r", nil), &script{}); err != nil {
		t.Errorf("reset: %v", err)
	}
	var gone *hv.ExitError
	if err := run(t, g.boot(t, caps, "t", nil), &script{}); !errors.As(err, &gone) || !errors.Is(err, hv.ErrGuestGone) {
		t.Errorf("triple fault: %v", err)
	} else {
		t.Log(err)
	}
}

// callChecker pairs entries and exits.
type callChecker struct {
	t       testing.TB
	open    map[guestmem.GVA]int
	live    map[uint64]bool
	entries []int
	exits   int
	seq     uint64
	vcpus   map[int]int
}

func newCallChecker(t testing.TB, hooks int) *callChecker {
	return &callChecker{t: t, open: map[guestmem.GVA]int{}, live: map[uint64]bool{}, entries: make([]int, hooks), vcpus: map[int]int{}}
}

// event takes hook 0 for __kmalloc and hook 1 for kfree.
func (c *callChecker) event(ev *hv.Event) error {
	if ev.Seq != c.seq {
		c.t.Errorf("event %d came as %d", ev.Seq, c.seq)
	}
	c.seq++
	c.vcpus[ev.VCPU]++
	switch ev.Kind {
	case hv.Entry:
		c.entries[ev.Hook]++
		if _, ok := c.open[ev.SP]; ok {
			c.t.Errorf("two calls at %#x", uint64(ev.SP))
		}
		c.open[ev.SP] = ev.Hook
		if ev.Hook == 1 && ev.Args[0] != 0 {
			if !c.live[ev.Args[0]] {
				c.t.Errorf("event %d frees %#x, which is not live", ev.Seq, ev.Args[0])
			}
			delete(c.live, ev.Args[0])
		}
	case hv.Exit:
		hook, ok := c.open[ev.SP]
		if !ok || ev.Hook != hook {
			c.t.Errorf("exit of %d at %#x without its entry", ev.Hook, uint64(ev.SP))
		}
		delete(c.open, ev.SP)
		c.exits++
		if hook == 0 {
			if c.live[ev.Result] {
				c.t.Errorf("%#x is allocated twice", ev.Result)
			}
			c.live[ev.Result] = true
		}
	}
	return nil
}

func TestTrack(t *testing.T) {
	caps := needKVM(t)
	g := buildGuest(t)
	for _, c := range []struct {
		name, command, hook string
		noSync              bool
		vcpus, calls        int
	}{
		{"one vCPU", "c", HookTrap, false, 1, 100},
		{"without synchronised registers", "c", HookTrap, true, 1, 100},
		{"two vCPUs", "2", HookTrap, false, 2, 400},
		{"ring, one vCPU", "c", HookRing, false, 1, 100},
		{"ring, without synchronised registers", "c", HookRing, true, 1, 100},
		{"ring, two vCPUs", "2", HookRing, false, 2, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := startWith(Config{Kernel: g.path, Append: c.command, MemoryBytes: 64 << 20, SMP: c.vcpus, Hook: c.hook}, caps, c.noSync)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if c.vcpus > 1 {
				startSecondary(t, g, m)
			}
			cc := newCallChecker(t, 2)
			h := &script{plan: &hv.Plan{Hooks: g.allocators(t), TaskStack: g.taskStack(t)}}
			h.event = func(ev *hv.Event) error {
				if ev.Kind == hv.Entry && ev.Hook == 0 {
					checkCall(t, g, ev)
				}
				return cc.event(ev)
			}
			if err := run(t, m, h); err != nil {
				t.Fatal(err)
			}
			if cc.entries[0] != c.calls || len(cc.open) != 0 || cc.exits != cc.entries[0]+cc.entries[1] || m.Lost() != 0 {
				t.Errorf("entries %v, exits %d, open %d, lost %d", cc.entries, cc.exits, len(cc.open), m.Lost())
			}
			if c.vcpus > 1 && (cc.vcpus[0] == 0 || cc.vcpus[1] == 0) {
				t.Errorf("events by vCPU: %v", cc.vcpus)
			}
			lost := int(g.word(t, m, "norphans"))
			if want := lost + c.calls/4; len(cc.live) != want || lost == 0 {
				t.Errorf("%d live objects, the guest knows of %d", len(cc.live), want)
			}
			r := g.reader(t, m)
			for i := range lost {
				w, err := r.Word(g.gva(t, "orphans") + guestmem.GVA(8*i))
				if err != nil || !cc.live[w-1] {
					t.Errorf("orphan %#x is not live, %v", w-1, err)
				}
			}
		})
	}
}

// checkCall checks arguments and stack of a call of __kmalloc from level3.
func checkCall(t *testing.T, g *guest, ev *hv.Event) {
	t.Helper()
	in := func(a guestmem.GVA, name string) bool {
		s := g.symbols[name]
		return uint64(a) >= s.Value && uint64(a) < s.Value+s.Size
	}
	if ev.Args[0] < 33 || ev.Args[0] > 96 || ev.Args[1] != 1 {
		t.Errorf("arguments %v", ev.Args)
	}
	if !in(ev.Return, "level3") || len(ev.Stack) < 64 || le64(ev.Stack) != uint64(ev.Return) {
		t.Errorf("return to %#x, stack % x", uint64(ev.Return), ev.Stack[:min(16, len(ev.Stack))])
	}
	found := map[string]bool{}
	for b := ev.Stack; len(b) >= 8; b = b[8:] {
		for _, name := range []string{"level2", "level1"} {
			if in(guestmem.GVA(le64(b)), name) {
				found[name] = true
			}
		}
		if le64(b) == 0x1122334455667788 {
			found["mark"] = true
		}
	}
	if len(found) != 3 {
		t.Errorf("the stack has only %v", found)
	}
}
