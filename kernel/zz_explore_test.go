package kernel

import (
	"fmt"
	"testing"
	"time"
)

func TestExplore(t *testing.T) {
	t0 := time.Now()
	s := openSnapshot(t)
	fmt.Println("open", time.Since(t0))
	k := s.k
	tm := func(what string) { fmt.Println("   ", what, time.Since(t0)); t0 = time.Now() }
	cpus, err := k.CPUs()
	fmt.Printf("cpus %x %v\n", cpus, err)
	fmt.Println(k.Uname())
	fmt.Println(k.Banner())
	id, err := k.BuildID()
	fmt.Printf("%x %x %v\n", id, s.im.BuildID(), err)
	fmt.Println(k.HZ())
	fmt.Println(k.Uptime())
	tm("misc")
	a, err := k.PerCPUAreas()
	fmt.Println(err)
	if a != nil {
		fmt.Printf("base %x unit %x static %x units %x\n", a.Base, a.UnitSize, a.StaticSize, a.Units)
		for _, c := range a.Chunks {
			n := uint64(0)
			for _, r := range c.Allocated {
				n += r.Size()
			}
			fmt.Printf("chunk %x base %x size %x first %v res %v pop %x alloc %d bytes %d\n", c.Addr, c.Base, c.Size, c.First, c.Reserved, c.Populated, len(c.Allocated), n)
		}
	}
	tm("percpu")
	tasks, err := k.Tasks()
	fmt.Println(len(tasks), err)
	for _, x := range tasks[:min(len(tasks), 8)] {
		fmt.Printf("%+v\n", *x)
	}
	tm("tasks")
	st, err := k.Stacks(tasks, s.Regs)
	fmt.Println(len(st), err)
	for _, x := range st {
		if x.Whole || x.Task == nil || x.Task.CPU >= 0 {
			fmt.Printf("%s %x %v %d\n", x.Name, x.Range, x.Whole, x.Range.Size())
		}
	}
	cs, err := k.CPUStacks()
	for _, c := range cs {
		fmt.Printf("%d %s %x %x link %x\n", c.CPU, c.Name, c.Range, c.Backing, c.link)
	}
	fmt.Println(err)
	fmt.Println(k.CachedStacks())
	tm("stacks")
	mods, err := k.Modules()
	fmt.Println(len(mods), err)
	for _, m := range mods {
		fmt.Printf("%s %v %x percpu %x %d id %x\n", m.Name, m.State, m.Mem, m.PerCPU, m.PerCPUSize, m.BuildID)
		sy, err := k.ModuleSymbols(m)
		fmt.Println(len(sy), err)
		se, err := k.ModuleSections(m)
		fmt.Println(len(se), err)
		o, err := k.ModuleORC(m)
		if o != nil {
			fmt.Printf("orc %d %x %x %v\n", o.Len(), o.IP(k.arch.Order, 0), o.IP(k.arch.Order, o.Len()-1), err)
		}
	}
	tm("modules")
	p, err := k.Pages()
	fmt.Println(err)
	tm("pages")
	if p != nil {
		for c := PageUnknown; c < pageClasses; c++ {
			fmt.Println(c, p.Count(c))
		}
		fmt.Println("buddy", p.Buddy, p.Buddy*4, "kB pcp", p.PerCPU)
		sl, err := k.Slabs(p)
		fmt.Println(err)
		tm("slabs")
		n := 0
		used := map[string][2]int{}
		err = sl.Each(func(s *Slab) bool {
			u := used[s.Cache.Name]
			u[0] += s.Used
			u[1] += s.Objects
			used[s.Cache.Name] = u
			n++
			return true
		})
		fmt.Println(n, "slabs", err)
		tm("slab each")
		fmt.Println(used["kmalloc-64"], used["dentry"])
	}
	ar, err := k.VmapAreas()
	fmt.Println(len(ar), err)
	tm("vmap")
	mb, err := k.Memblock()
	fmt.Println(mb, err)
}
