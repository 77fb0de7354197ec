package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// path writes a path from a root as the test below has it.
func pathOf(e *report.Explanation) string {
	var b strings.Builder
	for i := range e.Path {
		h := &e.Path[i]
		if i > 0 {
			b.WriteString(" > ")
			fmt.Fprintf(&b, "%s.%s", h.Type, h.Member)
			continue
		}
		fmt.Fprintf(&b, "%s|%s|%s|%s", h.Class, h.From, h.Symbol, h.Member)
	}
	return b.String()
}

// TestExplain: each object of the module explain is reached in the way that
// its plant says.
func TestExplain(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		module := guests.Module(t, g, "explain")
		var r guestRun
		r.start(t, g, "insmod /modules/explain.ko\nsleep 1", []guests.Built{module},
			"--smp", "2", "--module-symbols", filepath.Dir(module.Debug), "--explain", "cache:ex_cache", "--explain", "0x10")
		r.wait(t, exitLeaks)
		rep := r.report(t)
		live(t, rep)
		plants := map[string]guests.Plant{}
		for _, p := range r.plants(t) {
			plants[p.Name] = p
		}
		explained := map[uint64]*report.Explanation{}
		for i := range rep.Explanations {
			e := &rep.Explanations[i]
			explained[uint64(e.Address)] = e
			if e.Found && e.Type != "struct ex_item" {
				t.Errorf("%s is of type %q", e.Address, e.Type)
			}
		}
		if e := explained[0]; e == nil || e.Found || e.Query != "0x10" {
			t.Errorf("of what is not there it says %+v", e)
		}
		for _, c := range []struct{ name, path, weak string }{
			{"global_list", "module|module explain .data|ex_list [explain]|", "pointers into objects"},
			{"percpu", "per-CPU|module explain per-CPU data of CPU 0|ex_percpu [explain]|", ""},
			{"stack", "stack|stack of ex-stack[|in ex_sleeper", "stack"},
			{"register", "register|vCPU ", "register"},
			{"inode", "struct shmem_inode_info.vfs_inode.i_data.i_pages.xa_head > struct xa_node.slots[5]", "pointers into objects"},
			{"bss", "module|module explain .bss|ex_bss [explain]|", ""},
			{"stale", "ex_keeper [explain]| > struct ex_stale.cookie", "one word that is no pointer by its type"},
		} {
			e := explained[plants[c.name].Addr]
			if e == nil {
				t.Errorf("%s is not explained", c.name)
				continue
			}
			path, weak := pathOf(e), strings.Join(e.Weak, "; ")
			for _, part := range strings.Split(c.path, "[|") {
				if !strings.Contains(path, part) {
					t.Errorf("%s is reached by %s, want %s", c.name, path, c.path)
				}
			}
			if e.State != report.StateReachable || !strings.Contains(weak, c.weak) || c.weak == "" && weak != "" {
				t.Errorf("%s is %s, weak: %q, want %q", c.name, e.State, weak, c.weak)
			}
		}
		pair, other := plants["pair"], explained[plants["pair.other"].Addr]
		if other == nil || other.State != report.StateOrphan || len(other.Referrers) != 1 || other.Referrers[0].Member != "other" || other.Referrers[0].From != fmt.Sprintf("%#x", pair.Addr) {
			t.Errorf("the other of the pair: %+v", other)
		}
		if e := explained[pair.Addr]; e == nil || len(e.Content) != 3 || e.Content[0].Member != "key" || e.Content[0].Value != 70 || e.Content[1].Member != "other" || e.Content[2].Member != "ref.refcount.refs.counter" || e.Content[2].Value != 2 {
			t.Errorf("content of the pair: %+v", e)
		}
		for name, want := range map[string]string{"bss": "ex_bss [explain]", "pair.other": fmt.Sprintf("retains 2 objects of %d bytes", 2*pair.Size)} {
			again := exec.Command(os.Args[0], "explain", fmt.Sprintf("%#x", plants[name].Addr), r.path("report"))
			again.Env = append(os.Environ(), asLeakvisor+"=1")
			if text, err := again.Output(); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("of %s the report says, %v:\n%s", name, err, text)
			}
		}
		for i := range rep.Orphans {
			o := &rep.Orphans[i]
			if uint64(o.Address) == plants["stale"].Addr {
				t.Errorf("the conservative scan finds what an integer refers to:\n%s", record(o))
			}
			counts := []report.RefCount{{Member: "ref.refcount", Offset: 32, Value: 2}}
			if !o.Direct {
				counts = nil
			}
			if !slices.Equal(o.RefCounts, counts) {
				t.Errorf("%s, direct %v, counts %v", o.Address, o.Direct, o.RefCounts)
			}
			if o.Direct != (uint64(o.Address) == pair.Addr) || !o.Direct && uint64(o.Root) != pair.Addr {
				t.Errorf("%s direct %v, root %s", o.Address, o.Direct, o.Root)
			}
		}
	})
}

// TestPrecise: what a stale integer hides is found, and said to be found by
// the precise scan only; of all else that was planted nothing changes.
func TestPrecise(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		module := guests.Module(t, g, "explain")
		var r guestRun
		r.start(t, g, "insmod /modules/explain.ko\nsleep 1", []guests.Built{module},
			"--precise", "--smp", "2", "--module-symbols", filepath.Dir(module.Debug))
		r.wait(t, exitLeaks)
		rep := r.report(t)
		live(t, rep)
		plants := map[string]guests.Plant{}
		for _, p := range r.plants(t) {
			plants[p.Name] = p
		}
		want := map[uint64]bool{plants["stale"].Addr: true, plants["pair"].Addr: false, plants["pair.other"].Addr: false}
		for i := range rep.Orphans {
			o := &rep.Orphans[i]
			only, ok := want[uint64(o.Address)]
			if !ok || o.PreciseOnly != only || o.Type != "struct ex_item" {
				t.Errorf("precise only: %v\n%s", o.PreciseOnly, record(o))
			}
			if only && (o.HiddenBy == nil || o.HiddenBy.Type != "struct ex_stale" || o.HiddenBy.Member != "cookie") {
				t.Errorf("hidden by %+v", o.HiddenBy)
			}
			delete(want, uint64(o.Address))
		}
		if len(want) > 0 {
			t.Errorf("not found: %v", want)
		}
		if !rep.Scan.Precise || rep.Scan.Typed*2 < rep.Scan.Objects {
			t.Errorf("%d of %d objects are typed", rep.Scan.Typed, rep.Scan.Objects)
		}
	})
}

// TestPreciseGroundTruth: by types too every planted leak is found, and
// nothing else.
func TestPreciseGroundTruth(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		for _, c := range []struct {
			script  string
			modules []string
			flags   []string
		}{
			{plantScript, []string{"holder", "groundtruth", "rmmodleak"}, nil},
			{varietyScript, []string{"variety"}, []string{"--smp", "2"}},
		} {
			t.Run(c.modules[0], func(t *testing.T) {
				symbols := t.TempDir()
				var modules []guests.Built
				for _, name := range c.modules {
					m := guests.Module(t, g, name)
					modules = append(modules, m)
					content, err := os.ReadFile(m.Debug)
					if err == nil {
						err = os.WriteFile(filepath.Join(symbols, filepath.Base(m.Debug)), content, 0o644)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				var r guestRun
				r.start(t, g, c.script, modules, append(c.flags, "--precise", "--module-symbols", symbols)...)
				r.wait(t, exitLeaks)
				rep := r.report(t)
				live(t, rep)
				judge(t, rep, r.plants(t))
			})
		}
	})
}

// TestPreciseCleanBoot: a stock kernel that boots to userland and powers off
// leaks nothing by objects' types either.
func TestPreciseCleanBoot(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		for cpus := 1; cpus <= min(2, g.MaxCPUs(t)); cpus++ {
			t.Run(fmt.Sprintf("cpus=%d", cpus), func(t *testing.T) {
				var r guestRun
				r.start(t, g, "uname -a; ls -lR /sys > /dev/null", nil, "--precise", "--smp", fmt.Sprint(cpus))
				r.wait(t, exitClean)
				rep := r.report(t)
				live(t, rep)
				t.Logf("%d of %d objects typed", rep.Scan.Typed, rep.Scan.Objects)
			})
		}
	})
}
