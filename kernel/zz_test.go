package kernel

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

func TestProf(t *testing.T) {
	for seed := range uint64(6) {
		i := 0
		if seed%2 == 0 {
			i = 1
		}
		a := fakeArchs()[i]
		g := newGuest(t, a)
		g.world()
		g.addVariants()
		l := &liar{a: a, seed: seed, span: 0x1000 << (seed % 3)}
		k, err := newKernel(l, l, g, g.slide)
		if err != nil {
			t.Fatal(err)
		}
		tm := func(what string, f func() any) {
			var m1, m2 runtime.MemStats
			runtime.ReadMemStats(&m1)
			t0 := time.Now()
			v := f()
			runtime.ReadMemStats(&m2)
			if d := time.Since(t0); d > 50*time.Millisecond || m2.TotalAlloc-m1.TotalAlloc > 50<<20 {
				fmt.Println(seed, what, d, (m2.TotalAlloc-m1.TotalAlloc)>>20, "MB")
			}
			runtime.KeepAlive(v)
		}
		tm("percpu", func() any { a, _ := k.PerCPUAreas(); return a })
		tm("tasks", func() any { a, _ := k.Tasks(); return a })
		tm("cpus", func() any { a, _ := k.CPUs(); return a })
		tm("stacks", func() any { a, _ := k.CPUStacks(); return a })
		tm("cached", func() any { a, _ := k.CachedStacks(); return a })
		tm("mods", func() any { a, _ := k.Modules(); fmt.Println(len(a)); return a })
		tm("pages", func() any { a, _ := k.Pages(); return a })
		tm("vmap", func() any { a, _ := k.VmapAreas(); return a })
		tm("caches", func() any { a, _ := k.Caches(); return a })
		mods, _ := k.Modules()
		for _, m := range mods[:min(len(mods), 3)] {
			tm("syms", func() any { a, _ := k.ModuleSymbols(m); return a })
			tm("sect", func() any { a, _ := k.ModuleSections(m); return a })
			tm("orc", func() any { a, _ := k.ModuleORC(m); return a })
		}
	}
}
