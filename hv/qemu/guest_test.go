package qemu

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
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

// testGuest is the freestanding guest of testdata/guest, compiled.
type testGuest struct {
	path string
	syms map[string]guestmem.GVA
}

var buildGuest = sync.OnceValues(func() (*testGuest, error) {
	dir, err := os.MkdirTemp("", "leakvisor-qemu-test")
	if err != nil {
		return nil, err
	}
	g := &testGuest{path: filepath.Join(dir, "guest.elf"), syms: map[string]guestmem.GVA{}}
	out, err := exec.Command("cc", "-O1", "-nostdlib", "-static", "-no-pie", "-ffreestanding", "-fno-pic",
		"-mcmodel=kernel", "-mno-red-zone", "-mgeneral-regs-only", "-fno-stack-protector", "-fcf-protection=none",
		"-fno-asynchronous-unwind-tables", "-Wl,-T,testdata/guest/guest.ld", "-Wl,--build-id=none",
		"-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments", "-o", g.path,
		"testdata/guest/boot.S", "testdata/guest/guest.c").CombinedOutput()
	if err != nil {
		return nil, errors.New(err.Error() + ": " + string(out))
	}
	f, err := elf.Open(g.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	syms, err := f.Symbols()
	for _, s := range syms {
		g.syms[s.Name] = guestmem.GVA(s.Value)
	}
	return g, err
})

// needGuest skips a test where the test guest cannot be made or run.
func needGuest(t testing.TB) *testGuest {
	t.Helper()
	for _, tool := range []string{"cc", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("missing on this host: %s", tool)
		}
	}
	g, err := buildGuest()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestMain(m *testing.M) {
	if run := os.Getenv(childEnv); run != "" {
		childMain(run)
		return
	}
	code := m.Run()
	if g, err := buildGuest(); err == nil {
		_ = os.RemoveAll(filepath.Dir(g.path))
	}
	os.Exit(code)
}

// config runs the test guest with the command line that guest.c explains.
func (g *testGuest) config(t testing.TB, smp int, append string) Config {
	return Config{
		Arch: x86.AMD64(), Kernel: g.path, Append: append,
		MemoryBytes: 64 << 20, SMP: smp, CacheDir: testCache(t),
	}
}

// testCache is one cache for all tests, so that the plugin is compiled once.
func testCache(t testing.TB) string {
	t.Helper()
	g, err := buildGuest()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(filepath.Dir(g.path), "cache")
}

func start(t testing.TB, cfg Config) *Machine {
	t.Helper()
	m, err := Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// limited is a context that no test should outlive.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// phys reads guest memory of the test guest's kernel mapping.
func phys(t testing.TB, m *Machine, at guestmem.GVA, n int) []byte {
	t.Helper()
	b, err := m.Memory().ViewPhys(guestmem.GPA(uint64(at)-0xffffffff80000000), n)
	if err != nil || len(b) < n {
		t.Fatalf("reading the guest's %#x: %d bytes, %v", at, len(b), err)
	}
	return b[:n]
}

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// handler is a hv.Handler made of functions.
type handler struct {
	plan    func(pc guestmem.GVA, code []byte) (*hv.Plan, error)
	event   func(ev *hv.Event) error
	entered int
}

func (h *handler) KernelEntered(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
	h.entered++
	return h.plan(pc, code)
}

func (h *handler) Event(ev *hv.Event) error {
	if h.event == nil {
		return nil
	}
	return h.event(ev)
}

func planOf(p *hv.Plan) func(guestmem.GVA, []byte) (*hv.Plan, error) {
	return func(guestmem.GVA, []byte) (*hv.Plan, error) { return p, nil }
}

// Hooks of the test guest.
const (
	hookPlain = iota
	hookOuter
	hookTail
	hookBare
	hookFill
	hookSync // counts before its Sync hold
	numHooks
)

func (g *testGuest) hooks(sync bool) []hv.Hook {
	at := func(names ...string) (out []hv.ExitPoint) {
		for _, n := range names {
			out = append(out, hv.ExitPoint{Addr: g.syms[n]})
		}
		return out
	}
	return []hv.Hook{
		hookPlain: {Name: "fn_plain", Entry: g.syms["fn_plain"], Exits: at("fn_plain_exit"), StackBytes: 4096},
		hookOuter: {Name: "fn_outer", Entry: g.syms["fn_outer"], Exits: at("fn_tail_exit"), Args: 1},
		hookTail:  {Name: "fn_tail", Entry: g.syms["fn_tail"], Exits: at("fn_tail_exit")},
		hookBare:  {Name: "fn_bare", Entry: g.syms["fn_bare"], Exits: at("fn_bare")},
		hookFill:  {Name: "fn_fill", Entry: g.syms["fn_fill"], Exits: at("fn_fill_exit"), Array: hv.Array{When: hv.ArrayAtExit, Count: 0, Pointer: 1}},
		hookSync:  {Name: "fn_sync", Entry: g.syms["fn_sync"], Sync: sync},
	}
}

func (g *testGuest) plan(sync bool) *hv.Plan {
	return &hv.Plan{
		Hooks: g.hooks(sync),
		Context: []hv.Fetch{
			{Reg: "gs_base", Size: 8},             // cpu.id
			{Reg: "gs_base", Offset: 8, Size: 8},  // cpu.task
			{Prev: 2, Offset: 8, Size: 16},        // task.name
			{Offset: 0xdead0000dead0000, Size: 4}, // nowhere
			{Prev: 2, Size: 4},                    // task.pid
		},
	}
}

// checker verifies every event of the test guest.
type checker struct {
	t       testing.TB
	g       *testGuest
	counts  [numHooks]int
	exits   int
	open    [16]map[guestmem.GVA][]int
	rounds  [16]uint64 // the argument expected next, for each vCPU's fn_plain
	inStack [16]bool
	seq     uint64
}

func newChecker(t testing.TB, g *testGuest) *checker {
	c := &checker{t: t, g: g}
	for i := range c.open {
		c.open[i] = map[guestmem.GVA][]int{}
	}
	return c
}

func (c *checker) event(ev *hv.Event) error {
	t := c.t
	if ev.Seq != c.seq {
		t.Errorf("event %d has number %d", c.seq, ev.Seq)
	}
	c.seq++
	open := c.open[ev.VCPU]
	if ev.Kind == hv.Exit {
		c.exits++
		hooks := open[ev.SP]
		if len(hooks) == 0 {
			t.Errorf("exit at %#x without an entry", ev.PC)
		}
		delete(open, ev.SP)
		switch {
		case ev.PC == c.g.syms["fn_tail_exit"]:
			if ev.Hook != -1 || len(hooks) != 2 {
				t.Errorf("exit of fn_tail: hook %d, entries %v", ev.Hook, hooks)
			}
		case ev.Hook == hookFill:
			want := make([]byte, 7*8)
			for i := range 7 {
				binary.LittleEndian.PutUint64(want[8*i:], uint64(1000+i))
			}
			if ev.Result != 7 || !bytes.Equal(ev.Array, want) || ev.ArrayShort {
				t.Errorf("fn_fill gave %d, array % x, short %v", ev.Result, ev.Array, ev.ArrayShort)
			}
		case ev.Hook == hookPlain:
			if c.inStack[ev.VCPU] {
				c.inStack[ev.VCPU] = false
			}
		}
		return nil
	}

	c.counts[ev.Hook]++
	if ev.Hook != hookSync {
		open[ev.SP] = append(open[ev.SP], ev.Hook)
	}
	ctx := ev.Context
	id := word(ctx)
	name := string(bytes.TrimRight(ctx[16:32], "\x00"))
	if len(ctx) != 48 || name != "worker-"+string(rune('a'+id)) || word(ctx[32:]) != 0 || word(ctx[40:]) != 100+id {
		t.Errorf("context % x", ctx)
	}
	if ev.Hook == hookPlain {
		c.plain(ev)
	}
	return nil
}

// plain checks an entry of fn_plain, which has three callers: guest_main,
// fn_outer and fn_stack.
func (c *checker) plain(ev *hv.Event) {
	t := c.t
	if uint64(ev.SP)%(16<<10)+uint64(len(ev.Stack)) != 16<<10 && len(ev.Stack) != 4096 {
		t.Errorf("stack of %d bytes at %#x", len(ev.Stack), ev.SP)
	}
	if got := guestmem.GVA(word(ev.Stack)); got != ev.Return {
		t.Errorf("return address %#x, on the stack %#x", ev.Return, got)
	}
	if ev.Return == c.g.syms["fn_stack_return"] {
		for i := range 64 {
			if got := word(ev.Stack[8+8*i:]); got != uint64(i+1)<<8 {
				t.Errorf("stack word %d is %#x", i, got)
			}
		}
		return
	}
	if ev.Args[1] == 2 && ev.Args[2] == 3 && ev.Args[3] == 4 && ev.Args[4] == 5 && ev.Args[5] == 6 && ev.Args[0] == c.rounds[ev.VCPU] {
		c.rounds[ev.VCPU]++
	}
}

// done checks the totals of a run of so many rounds on so many CPUs.
func (c *checker) done(m *Machine, cpus, rounds int) {
	c.t.Helper()
	n := cpus * rounds
	want := [numHooks]int{hookPlain: 3 * n, hookOuter: n, hookTail: n, hookBare: n, hookFill: n, hookSync: n}
	if c.counts != want {
		c.t.Errorf("entries %v, want %v", c.counts, want)
	}
	if c.exits != 6*n {
		c.t.Errorf("%d exits, want %d", c.exits, 6*n)
	}
	for cpu, open := range c.open {
		if len(open) != 0 {
			c.t.Errorf("vCPU %d has %d calls without an exit", cpu, len(open))
		}
	}
	for cpu := range cpus {
		if c.rounds[cpu] != uint64(rounds) {
			c.t.Errorf("vCPU %d: arguments were right in %d rounds of %d", cpu, c.rounds[cpu], rounds)
		}
	}
	if m.Lost() != 0 {
		c.t.Errorf("%d events were lost", m.Lost())
	}
}
