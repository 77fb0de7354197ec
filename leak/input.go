package leak

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/scanner"
)

type gvaRange = guestmem.Range[guestmem.GVA]

// picture is the guest at one pause: what the scanner is given, and what the
// report needs besides.
type picture struct {
	guest
	from    Roots
	in      *scanner.Input
	objects []object // beside in.Objects
	audit   audit
	reasons []string // why a verdict would not be proven

	// Where things are, by the kernel's own structures.
	pages  *kernel.Pages
	tasks  []*kernel.Task
	live   []kernel.LiveStack
	stacks []gvaRange // of tasks and CPUs, whole; sorted, disjoint
	dead   []gvaRange // stacks that no task has
	// cpuStacks are those among stacks that CPUs have for interrupts.
	cpuStacks []gvaRange
	percpu    *kernel.PerCPUAreas
	modules   []*kernel.Module
	areas     map[guestmem.GVA]*kernel.VmapArea
	// descriptors are the vm_structs of tracked blocks and the lists of their
	// pages: as live as their block, and told with it.
	descriptors map[guestmem.GVA]bool
	claims      claims
	registers   []map[string]uint64
	besides     []hv.Hidden // registers
	lost        uint64      // events
	// covers has the number of the rule of each object that one covers.
	covers map[int]int
	// typed is how many objects are scanned by their types; hidden are those
	// that are reachable if none is.
	typed  uint64
	hidden map[int]bool
	mixed  map[guestmem.GVA]bool // slab caches; nil until it is wanted
	blunt  *scanner.Input        // in without layouts, likewise
	hiders int                   // words that were looked for
	sharp  *scanner.Input        // in with layouts; nil until it is wanted
	byAddr []int32               // objects by address, likewise
}

// object is what the report wants to know of a tracked object.
type object struct {
	hooks.Object
	class hooks.Class
	// cache is the slab cache, by the name of one of those merged into it.
	cache     string
	cacheAddr guestmem.GVA
	// asked is the size asked for in bytes, zero where only the cache knows.
	asked uint64
	// alone says that no other cache was merged with this one.
	alone bool
}

// audit compares the tracker's live slab objects with the guest's own slab
// descriptors.
type audit struct {
	allocated uint64 // objects in use by the descriptors
	tracked   uint64 // of these, known to the tracker
	stale     uint64 // known to the tracker, but free by the descriptors
}

// look reads a frozen guest. What cannot be read becomes a reason why the
// verdict is unknown; without the page descriptors there is nothing to judge.
func (s *Session) look(f *frozen, from Roots) *picture {
	g := guest{s.kmem, s.kernel}.on(f.memory)
	p := &picture{
		guest:       g,
		from:        from,
		in:          &scanner.Input{WordSize: s.arch.WordSize, Order: s.arch.Order, Memory: g.mem},
		areas:       map[guestmem.GVA]*kernel.VmapArea{},
		claims:      claims{mem: g.mem},
		descriptors: map[guestmem.GVA]bool{},
		registers:   f.registers,
		besides:     f.hidden,
		pages:       f.pages,
		lost:        f.lost,
	}
	p.doubt("page descriptors", f.pagesErr)
	if p.pages == nil {
		return p
	}
	k := p.kernel
	var err error
	p.tasks, err = k.Tasks()
	p.doubt("tasks", err)
	s.allStacks(p)
	p.doubt("what CPUs have of their stacks", f.complete(p.mem, p.stacks))
	// Page tables have physical addresses, which are no references; where the
	// direct map begins at zero they look like them.
	tables, err := k.MarkTables(p.pages, p.mem, p.tasks)
	p.doubt("page tables", err)
	p.claims.ranges = append(p.claims.ranges, tables...)
	p.live, err = k.Stacks(p.tasks, f.registers)
	p.doubt("stacks", err)
	p.modules, err = k.Modules()
	p.doubt("modules", err)
	p.percpu, err = k.PerCPUAreas()
	if !errors.Is(err, kernel.ErrUnsupported) {
		p.doubt("per-CPU areas", err)
	}
	areas, err := k.VmapAreas()
	p.doubt("vmalloc areas", err)
	for i := range areas {
		p.areas[areas[i].Range.Start] = &areas[i]
	}
	p.in.Exclude, err = k.Leftovers()
	p.doubt("what is left behind", err)
	s.perCPUObjects(p)
	s.slabObjects(p)
	s.vmallocObjects(p, areas)
	s.pageObjects(p)
	p.sharedPointers()
	p.in.Older = func(a, b int) bool { return p.objects[a].Seq < p.objects[b].Seq }
	s.roots(p)
	s.bookkeeping(p)
	return p
}

// doubt notes an error of a reader, which returned what it could: the verdict
// cannot be proven then.
func (p *picture) doubt(what string, err error) {
	if err != nil {
		p.reasons = append(p.reasons, fmt.Sprintf("reading %s: %v", what, err))
	}
}

// add adds an object to judge.
func (p *picture) add(o object, so scanner.Object) {
	p.objects = append(p.objects, o)
	p.in.Objects = append(p.in.Objects, so)
}

// allStacks gathers the whole stacks, so that only their live parts are
// scanned.
func (s *Session) allStacks(p *picture) {
	for _, t := range p.tasks {
		p.stacks = append(p.stacks, t.Stack)
	}
	cpu, err := p.kernel.CPUStacks()
	p.doubt("the CPUs' stacks", err)
	for _, c := range cpu {
		p.stacks = append(p.stacks, c.Range, c.Backing)
		p.cpuStacks = append(p.cpuStacks, c.Range)
	}
	p.dead, err = p.kernel.CachedStacks()
	p.doubt("cached stacks", err)
	p.stacks = disjoint(append(p.stacks, p.dead...))
}

// disjoint sorts ranges, joins those that overlap and drops empty ones.
func disjoint(ranges []gvaRange) []gvaRange {
	sort.Slice(ranges, func(i, j int) bool { return ranges[i].Start < ranges[j].Start })
	var out []gvaRange
	for _, r := range ranges {
		switch n := len(out); {
		case r.Size() == 0:
		case n > 0 && r.Start <= out[n-1].End:
			out[n-1].End = max(out[n-1].End, r.End)
		default:
			out = append(out, r)
		}
	}
	return out
}

// ofCPU says whether an address is in a stack that a CPU has for good. What
// the kernel knows of it may be its end alone, which lies behind it.
func (p *picture) ofCPU(a guestmem.GVA) bool {
	return slices.ContainsFunc(p.cpuStacks, func(r gvaRange) bool { return r.Contains(a) })
}

// onStack says whether an address is in some stack.
func (p *picture) onStack(a guestmem.GVA) bool {
	i := sort.Search(len(p.stacks), func(i int) bool { return p.stacks[i].End > a })
	return i < len(p.stacks) && p.stacks[i].Contains(a)
}

// slabObjects takes the tracked slab objects. Their size is their cache's, as
// kmemleak has it, and what the guest's slab descriptors say is compared with
// the tracker.
func (s *Session) slabObjects(p *picture) {
	slabs, err := p.kernel.Slabs(p.pages)
	p.doubt("slab caches", err)
	live := s.tracker.LiveSet(hooks.Slab)
	p.objects = slices.Grow(p.objects, live.Len())
	p.in.Objects = slices.Grow(p.in.Objects, live.Len())
	var described map[guestmem.GVA]bool // only where the descriptors do not tell all
	if slabs != nil {
		each := slabs.Each(func(sl *kernel.Slab) bool {
			for i := range sl.Objects {
				if !sl.Allocated(i) {
					continue
				}
				p.audit.allocated++
				if o := live.Get(sl.Object(i)); o != nil {
					p.audit.tracked++
					if kernel.Bookkeeping(sl.Cache.Name) {
						s.addRecord(p, *o, sl.Cache)
					} else {
						p.addSlab(*o, sl.Cache)
					}
					if sl.Cache.Name == "mm_struct" {
						p.processTables(o.Addr)
					}
				}
			}
			return true
		})
		p.doubt("slabs", each)
		err = errors.Join(err, each)
	}
	if err != nil {
		described = make(map[guestmem.GVA]bool, len(p.objects))
		for i := range p.objects {
			if p.objects[i].class != hooks.Slab {
				continue
			}
			described[p.objects[i].Addr] = true
		}
	}
	inSlabs := uint64(0)
	for o := range live.All() {
		frame, inRAM := p.pages.Frame(o.Addr)
		switch class := p.pages.Class(frame); {
		case inRAM && class == kernel.PageKFENCE:
		case !inRAM || class != kernel.PageSlab:
			p.addSlab(*o, nil)
		case err == nil:
			inSlabs++
		case !described[o.Addr]:
			p.addSlab(*o, nil)
		}
	}
	p.audit.stale = inSlabs - min(inSlabs, p.audit.tracked)
	s.kfenceObjects(p, slabs)
	s.notedObjects(p, slabs)
}

// processTables lets a struct mm_struct hold its page tables, which have only
// each other's physical addresses.
func (p *picture) processTables(mm guestmem.GVA) {
	for _, table := range p.kernel.MarkTablesOf(p.pages, p.mem, mm) {
		p.in.Edges = append(p.in.Edges, scanner.Edge{From: mm, To: table})
	}
}

// addSlab adds an object of a slab cache or, without one, a large kmalloc:
// whole pages, a power of two of them.
func (p *picture) addSlab(o hooks.Object, cache *kernel.Cache) {
	obj := object{Object: o, class: hooks.Slab, asked: o.Size}
	if cache != nil {
		obj.cache, obj.cacheAddr, obj.Size = cache.Name, cache.Addr, cache.ObjectSize
		obj.alone = cache.Users == 1
	} else if page := p.pages.PageSize(); o.Size >= page {
		whole := page
		for whole < o.Size && whole < 1<<62 {
			whole *= 2
		}
		p.claims.add(gvaRange{Start: o.Addr, End: o.Addr + guestmem.GVA(whole)}, page)
	}
	so := scanner.Object{Addr: o.Addr, Size: obj.Size}
	if p.onStack(o.Addr) {
		so.Flag |= scanner.NoScan
	}
	if p.pages.IsTable(o.Addr) {
		so.Flag |= scanner.Gray | scanner.NoScan
	}
	p.add(obj, so)
}

// vmallocObjects takes the tracked vmalloc objects, whole pages each. A
// module's memory is never a leak and scanned as a root; a stack is scanned
// by its live part.
func (s *Session) vmallocObjects(p *picture, areas []kernel.VmapArea) {
	page := p.pages.PageSize()
	for _, o := range s.tracker.Live(hooks.Vmalloc) {
		asked := o.Size
		o.Size = (o.Size + page - 1) &^ (page - 1)
		so := scanner.Object{Addr: o.Addr, Size: o.Size}
		r := gvaRange{Start: o.Addr, End: o.Addr + guestmem.GVA(o.Size)}
		p.claims.add(r, page)
		switch {
		case p.isModule(r), p.isDead(r), p.ofCPU(o.Addr):
			so.Flag = scanner.Gray | scanner.NoScan
		case p.onStack(o.Addr):
			so.Flag = scanner.NoScan
		}
		p.add(object{Object: o, class: hooks.Vmalloc, asked: asked}, so)
		if a := p.areas[o.Addr]; a != nil && a.VM != nil {
			// Who holds the block holds its descriptor, but not the reverse.
			p.in.Edges = append(p.in.Edges, scanner.Edge{From: o.Addr, To: a.VM.Addr})
			p.descriptors[a.VM.Addr] = true
			if a.VM.Pages != 0 {
				p.descriptors[a.VM.Pages] = true
			}
			p.in.Exclude = append(p.in.Exclude, a.Link)
		}
	}
	for _, a := range areas {
		// They name the area for the kernel's own use, and the end of one may be
		// the start of the next.
		p.in.Exclude = append(p.in.Exclude, a.Words[0], a.Words[1])
		if a.VM != nil {
			// It names the memory for vmalloc's own use. A stale pointer to
			// the descriptor, which is as small as many other objects, must
			// not keep a block.
			p.in.Exclude = append(p.in.Exclude, a.VM.AddrWord)
		}
	}
}

// isDead says whether r is a stack that the kernel keeps for the next task:
// it knows it by its descriptor only.
func (p *picture) isDead(r gvaRange) bool {
	for _, d := range p.dead {
		if r.Contains(d.Start) {
			return true
		}
	}
	return false
}

func (p *picture) isModule(r gvaRange) bool {
	for _, m := range p.modules {
		for _, part := range m.Mem {
			if part.Range.Start < r.End && r.Start < part.Range.End {
				return true
			}
		}
	}
	return false
}
