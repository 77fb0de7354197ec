package kernel

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
)

// near fails unless got is within percent of want.
func near(t *testing.T, what string, got, want uint64, percent float64) {
	t.Helper()
	t.Logf("%s: %d, the guest says %d", what, got, want)
	if diff := float64(got) - float64(want); diff > float64(want)*percent/100 || -diff > float64(want)*percent/100 {
		t.Errorf("%s: %d, the guest says %d", what, got, want)
	}
}

func (s *snapshot) lines(t *testing.T, file string) []string {
	t.Helper()
	text, ok := s.files[file]
	if !ok || text == "" {
		t.Skipf("the guest did not print %s", file)
	}
	return strings.Split(text, "\n")
}

// meminfo returns a line of /proc/meminfo in bytes.
func (s *snapshot) meminfo(t *testing.T, name string) uint64 {
	t.Helper()
	for _, l := range s.lines(t, "/proc/meminfo") {
		if f := strings.Fields(l); len(f) == 3 && f[0] == name+":" {
			v, _ := strconv.ParseUint(f[1], 10, 64)
			return v << 10
		}
	}
	t.Fatalf("no %s in meminfo", name)
	return 0
}

func TestSnapshotIdentity(t *testing.T) {
	s := openSnapshot(t)
	id, err := s.k.BuildID()
	if err != nil || !bytes.Equal(id, s.im.BuildID()) {
		t.Errorf("build ID %x, %v; the image has %x", id, err, s.im.BuildID())
	}
	release, _, err := s.k.Uname()
	want, _ := s.im.Release()
	if err != nil || release != want {
		t.Errorf("release %q, %v; the image has %q", release, err, want)
	}
	if b, err := s.k.Banner(); err != nil || !strings.HasPrefix(b, "Linux version "+want+" ") {
		t.Errorf("banner %q, %v", b, err)
	}
	hz, err := s.k.HZ()
	if err != nil || hz < 100 || hz > 1000 {
		t.Errorf("HZ %d, %v", hz, err)
	}
	up, err := s.k.Uptime()
	f := strings.Fields(s.lines(t, "/proc/uptime")[0])
	said, _ := strconv.ParseFloat(f[0], 64)
	d := up - time.Duration(said*float64(time.Second))
	if err != nil || d < 0 || d > time.Minute {
		t.Errorf("uptime %v, %v; the guest said %v before", up, err, said)
	}
}

func TestSnapshotTasks(t *testing.T) {
	s := openSnapshot(t)
	tasks, err := s.k.Tasks()
	if err != nil {
		t.Fatal(err)
	}
	comm := map[int]string{}
	for _, x := range tasks {
		comm[x.PID] = x.Comm
	}
	n, gone := 0, 0
	for _, l := range s.lines(t, "tasks") {
		pid, rest, ok := strings.Cut(l, " (")
		name, _, ok2 := strings.Cut(rest, ") ")
		if !ok || !ok2 {
			continue
		}
		p, _ := strconv.Atoi(pid)
		n++
		if c, ok := comm[p]; !ok {
			gone++
		} else if p != 1 && !strings.HasPrefix(name, c) {
			t.Errorf("task %d is %q, the guest says %q", p, c, name)
		}
	}
	// Those that printed, and workers that ended since.
	if n < 20 || gone > 6 {
		t.Errorf("%d of %d tasks are not found", gone, n)
	}
	t.Logf("%d tasks, the guest said %d, %d of them gone", len(tasks), n, gone)
	live, err := s.k.Stacks(tasks, s.Regs)
	if err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for _, l := range live {
		if l.Whole {
			t.Errorf("%s is taken whole", l.Name)
		}
		if l.Task != nil && (l.Range.Start < l.Task.Stack.Start || l.Range.End != l.Task.Stack.End) {
			t.Errorf("%s is %#x, of %#x", l.Name, l.Range, l.Task.Stack)
		}
		sum += l.Range.Size()
	}
	t.Logf("%d stacks, %d bytes live", len(live), sum)
}

func TestSnapshotModules(t *testing.T) {
	s := openSnapshot(t)
	mods, err := s.k.Modules()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*Module{}
	for _, m := range mods {
		found[m.Name] = m
		if len(m.BuildID) != 20 || m.State != ModuleLive {
			t.Errorf("%s: build ID %x, %v", m.Name, m.BuildID, m.State)
		}
	}
	lines := s.lines(t, "/proc/modules")
	if len(lines) != len(mods) {
		t.Errorf("%d modules, the guest has %d", len(mods), len(lines))
	}
	for _, l := range lines {
		f := strings.Fields(l)
		base, _ := strconv.ParseUint(f[5], 0, 64)
		m := found[f[0]]
		if m == nil || m.Mem[0].Range.Start != guestmem.GVA(base) {
			t.Fatalf("%s is not at %#x: %+v", f[0], base, m)
		}
		s.checkModule(t, m)
	}
}

// checkModule compares symbols and sections with what the guest printed.
func (s *snapshot) checkModule(t *testing.T, m *Module) {
	syms, err := s.k.ModuleSymbols(m)
	if err != nil || len(syms) == 0 {
		t.Errorf("%s: %d symbols, %v", m.Name, len(syms), err)
	}
	have := map[string]bool{}
	for _, x := range syms {
		have[fmt.Sprintf("%016x %s", x.Addr, x.Name)] = true
	}
	n := 0
	for _, l := range s.lines(t, "kallsyms") {
		f := strings.Fields(l)
		if len(f) == 4 && f[3] == "["+m.Name+"]" && !ignoredSymbol(f[2]) {
			n++
			if !have[f[0]+" "+f[2]] {
				t.Errorf("%s: no symbol %s", m.Name, l)
			}
		}
	}
	sections, err := s.k.ModuleSections(m)
	if err != nil {
		t.Errorf("%s: %v", m.Name, err)
	}
	at := map[string]string{}
	for _, x := range sections {
		at[x.Name] = fmt.Sprintf("%#016x", uint64(x.Addr))
	}
	for _, l := range s.lines(t, "sections") {
		f := strings.Fields(l)
		name, ok := strings.CutPrefix(f[0], "/sys/module/"+m.Name+"/sections/")
		if ok && at[name] != f[1] {
			t.Errorf("%s: section %s is at %s, the guest says %s", m.Name, name, at[name], f[1])
		}
	}
	orc, err := s.k.ModuleORC(m)
	if err != nil {
		t.Errorf("%s: %v", m.Name, err)
	}
	inside := 0
	for i := range orc.Len() {
		if m.Contains(orc.IP(s.k.arch.Order, i)) { // others are of its init code
			inside++
		}
	}
	if inside == 0 || len(orc.Entries) != orc.Len()*orc.EntrySize {
		t.Errorf("%s: %d of %d unwind rows are of its code", m.Name, inside, orc.Len())
	}
	t.Logf("%s: %d symbols (%d compared), %d sections, %d unwind rows", m.Name, len(syms), n, len(sections), orc.Len())
}

func TestSnapshotMemory(t *testing.T) {
	s := openSnapshot(t)
	start := time.Now()
	p, err := s.k.Pages()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("pages classified in %v", time.Since(start))
	if n := p.Count(PageUnknown); n != 0 {
		t.Errorf("%d pages of RAM have no descriptor", n)
	}
	near(t, "free memory", p.Buddy*p.PageSize(), s.meminfo(t, "MemFree"), 1)

	sl, err := s.k.Slabs(p)
	if err != nil {
		t.Fatal(err)
	}
	used, objects := map[string]uint64{}, map[string]uint64{}
	if err := sl.Each(func(x *Slab) bool {
		used[x.Cache.Name] += uint64(x.Used)
		objects[x.Cache.Name] += uint64(x.Objects)
		for i := range x.Objects {
			if o, n, err := sl.Find(x.Object(i)); err != nil || n != i || o.Base != x.Base {
				t.Fatalf("object %d at %#x is found as %d: %v", i, uint64(x.Object(i)), n, err)
			}
		}
		return true
	}); err != nil {
		t.Error(err)
	}
	// Each cache is itself an object, and so is each task but the first.
	if n := uint64(len(sl.Caches())); used["kmem_cache"] != n {
		t.Errorf("%d kmem_cache objects are allocated for %d caches", used["kmem_cache"], n)
	}
	tasks, _ := s.k.Tasks()
	if n := used["task_struct"]; n < uint64(len(tasks)-1) || n > uint64(len(tasks)+16) {
		t.Errorf("%d task_struct objects are allocated for %d tasks", n, len(tasks))
	}
	var sum, said, pages uint64
	for _, l := range s.lines(t, "/proc/slabinfo")[2:] {
		f := strings.Fields(l)
		if len(f) < 16 {
			continue
		}
		perSlab, _ := strconv.ParseUint(f[5], 10, 64)
		slabs, _ := strconv.ParseUint(f[14], 10, 64)
		n, _ := strconv.ParseUint(f[2], 10, 64)
		pages += perSlab * slabs
		said += n
	}
	for _, n := range objects {
		sum += n
	}
	near(t, "pages of slabs", p.Count(PageSlab), pages, 2)
	near(t, "objects in slabs", sum, said, 2)
	var allocated uint64
	for _, n := range used {
		allocated += n
	}
	t.Logf("%d objects allocated in %d caches", allocated, len(used))
}

func TestSnapshotVmalloc(t *testing.T) {
	s := openSnapshot(t)
	areas, err := s.k.VmapAreas()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]bool{}
	for _, a := range areas {
		at[fmt.Sprintf("%#x-%#x", uint64(a.Range.Start), uint64(a.Range.End))] = true
		if a.VM != nil && a.VM.Start != a.Range.Start {
			t.Errorf("area at %#x has its vm_struct at %#x", uint64(a.Range.Start), uint64(a.VM.Start))
		}
	}
	n, gone := 0, 0
	for _, l := range s.lines(t, "/proc/vmallocinfo") {
		if strings.Contains(l, "unpurged") {
			continue
		}
		n++
		if !at[strings.Fields(l)[0]] {
			gone++
		}
	}
	if n == 0 || gone > 6 {
		t.Errorf("%d of %d areas are not found", gone, n)
	}
	t.Logf("%d areas, the guest said %d, %d of them gone", len(areas), n, gone)
}

func TestSnapshotPerCPU(t *testing.T) {
	s := openSnapshot(t)
	a, err := s.k.PerCPUAreas()
	if err != nil {
		t.Fatal(err)
	}
	var populated, objects uint64
	for i := range a.Chunks {
		c := &a.Chunks[i]
		for _, r := range c.Populated {
			populated += r.Size() * uint64(len(a.CPUs))
			for cpu := range a.CPUs {
				v := a.Range(c, cpu, r)
				if got := a.Copy(cpu, a.Ptr(c, r.Start)); got != v.Start {
					t.Errorf("the copy of CPU %d is at %#x instead of %#x", cpu, uint64(got), uint64(v.Start))
				}
				if _, _, err := s.space.Translate(v.Start); err != nil {
					t.Error(err)
				}
			}
		}
		objects += uint64(len(c.Allocated))
	}
	static := a.StaticSize * uint64(len(a.CPUs))
	t.Logf("%d chunks, %d allocations", len(a.Chunks), objects)
	near(t, "per-CPU memory", populated+static, s.meminfo(t, "Percpu"), 5)
}

func BenchmarkSnapshotPages(b *testing.B) {
	s := openSnapshot(b)
	for b.Loop() {
		if _, err := s.k.Pages(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSnapshotReaders holds at any moment of a guest, busy or not: what is
// read contradicts nothing.
func TestSnapshotReaders(t *testing.T) {
	s := openSnapshot(t)
	note := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	tasks, err := s.k.Tasks()
	note("tasks", err)
	live, err := s.k.Stacks(tasks, s.Regs)
	note("stacks", err)
	for _, l := range live {
		if l.Whole || l.Task == nil || l.Task.CPU >= 0 {
			t.Logf("%s: %d bytes live, whole %v", l.Name, l.Range.Size(), l.Whole)
		}
	}
	_, err = s.k.CachedStacks()
	note("cached stacks", err)
	_, err = s.k.Modules()
	note("modules", err)
	_, err = s.k.VmapAreas()
	note("vmap areas", err)
	_, err = s.k.PerCPUAreas()
	note("per-CPU areas", err)
	p, err := s.k.Pages()
	note("pages", err)
	sl, err := s.k.Slabs(p)
	note("slab caches", err)
	var caches, own uint64
	note("slabs", sl.Each(func(x *Slab) bool {
		caches++
		if x.Cache.Name == "kmem_cache" {
			own += uint64(x.Used)
		}
		return true
	}))
	if own != uint64(len(sl.Caches())) {
		t.Errorf("%d kmem_cache objects are allocated for %d caches", own, len(sl.Caches()))
	}
	t.Logf("%d tasks, %d slabs, %d of RAM's pages free on CPUs", len(tasks), caches, p.PerCPU)
}
