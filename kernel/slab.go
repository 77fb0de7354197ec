package kernel

import (
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Bounds for slab caches.
const (
	maxCaches     = 1 << 14
	maxCacheName  = 128
	maxObjectSize = 1 << 26
	maxBadSlabs   = 1000
)

// Cache is one slab cache (struct kmem_cache of SLUB).
type Cache struct {
	Addr       guestmem.GVA
	Name       string
	ObjectSize uint64 // what a user gets, bytes
	Size       uint64 // distance of objects in a slab, bytes
	Flags      uint64 // SLAB_* as the kernel has them
	// Users is how many caches are this one, under several names if it was
	// merged with others; zero where that is not known.
	Users uint64
	// Offset is where in a free object the pointer to the next one is.
	Offset uint64
	// Random is what these pointers are hidden with; Hardened says that they
	// are (CONFIG_SLAB_FREELIST_HARDENED).
	Random   uint64
	Hardened bool
	// RedLeft is the padding before each object, bytes.
	RedLeft uint64

	cpuSlab uint64 // per-CPU pointer of struct kmem_cache_cpu
}

type slabLayout struct {
	present                                     bool
	list, name, objectSize, size, flags, offset member
	random, redLeft, cpuSlab, users             member
	desc                                        string // "slab", or "page" before 5.17
	cache, freelist, inuse, objects             member
	cpuFreelist, cpuActive                      member
	sheaves                                     sheafLayout
}

func newSlabLayout(l *layout) slabLayout {
	var s slabLayout
	// Without SLUB (SLOB, SLAB before 6.8) objects cannot be enumerated.
	if l.find("kmem_cache", nearSlab...) == nil {
		l.missing["struct kmem_cache"] = true
		return s
	}
	if _, ok := l.opt("kmem_cache", "red_left_pad", "oo"); !ok {
		return s
	}
	s.present = true
	l.needSymbol("slab_caches")
	s.list = l.need("kmem_cache", "list")
	s.name = l.need("kmem_cache", "name")
	s.objectSize = l.need("kmem_cache", "object_size")
	s.size = l.need("kmem_cache", "size")
	s.flags = l.need("kmem_cache", "flags")
	s.offset = l.need("kmem_cache", "offset")
	s.random, _ = l.opt("kmem_cache", "random")
	s.redLeft, _ = l.opt("kmem_cache", "red_left_pad")
	s.cpuSlab, _ = l.opt("kmem_cache", "cpu_slab")
	s.users, _ = l.opt("kmem_cache", "refcount")
	s.desc = "slab"
	if l.find("slab", nearSlab...) == nil {
		s.desc = "page"
		l.find("page", nearPage...)
	}
	s.cache = l.need(s.desc, "slab_cache")
	s.freelist = l.need(s.desc, "freelist")
	s.inuse = l.need(s.desc, "inuse")
	s.objects = l.need(s.desc, "objects")
	if s.cpuSlab.Size > 0 {
		l.find("kmem_cache_cpu", nearSlab...)
		s.cpuFreelist = l.need("kmem_cache_cpu", "freelist")
		s.cpuActive = l.need("kmem_cache_cpu", "slab", "page")
	}
	s.sheaves = newSheafLayout(l)
	return s
}

// Caches lists the slab caches. With an error it returns those that it could
// read.
func (k *Kernel) Caches() ([]*Cache, error) {
	addrs, err := k.slabCacheAddrs(maxCaches)
	var out []*Cache
	var first error
	for _, a := range addrs {
		c, err := k.Cache(a)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		out = append(out, c)
	}
	return out, errors.Join(err, first)
}

// slabCacheAddrs returns the addresses of the first caches, at most limit.
func (k *Kernel) slabCacheAddrs(limit int) ([]guestmem.GVA, error) {
	if !k.lay.slab.present {
		return nil, fmt.Errorf("slab caches: %w", ErrUnsupported)
	}
	head, _ := k.Addr("slab_caches")
	var out []guestmem.GVA
	err := k.list(head, maxCaches, func(node guestmem.GVA) bool {
		out = append(out, node-guestmem.GVA(k.lay.slab.list.Offset))
		return len(out) < limit
	})
	if err != nil {
		err = fmt.Errorf("slab caches: %w", err)
	}
	return out, err
}

// Cache reads the struct kmem_cache at addr.
func (k *Kernel) Cache(addr guestmem.GVA) (*Cache, error) {
	lay := &k.lay.slab
	if !lay.present {
		return nil, fmt.Errorf("slab caches: %w", ErrUnsupported)
	}
	r := k.at(addr)
	c := &Cache{
		Addr:       addr,
		ObjectSize: r.get(lay.objectSize),
		Size:       r.get(lay.size),
		Flags:      r.get(lay.flags),
		Offset:     r.get(lay.offset),
		Random:     r.get(lay.random),
		Hardened:   lay.random.Size > 0,
		RedLeft:    r.get(lay.redLeft),
		Users:      r.get(lay.users),
		cpuSlab:    r.get(lay.cpuSlab),
	}
	name := r.ptr(lay.name)
	if r.err != nil {
		return nil, fmt.Errorf("slab cache at %#x: %w", uint64(addr), r.err)
	}
	var err error
	if c.Name, err = k.mem.CString(name, maxCacheName); err != nil {
		return nil, fmt.Errorf("slab cache at %#x: name: %w", uint64(addr), err)
	}
	w := uint64(k.arch.WordSize)
	if c.Size == 0 || c.Size > maxObjectSize || c.ObjectSize > c.Size || c.Offset > c.Size-min(c.Size, w) || c.RedLeft >= c.Size {
		return nil, inconsistent("slab cache %q has objects of %d bytes, %d apart", c.Name, c.ObjectSize, c.Size)
	}
	return c, nil
}

// Slab is one slab: pages that hold objects of one cache.
type Slab struct {
	Cache *Cache
	Desc  guestmem.GVA // of its struct slab (or page)
	Base  guestmem.GVA // of its memory
	Pages uint64
	// Objects is how many objects fit, Used how many are allocated.
	Objects, Used int

	used []uint64 // bitmap
}

// Object returns the address of object i.
func (sl *Slab) Object(i int) guestmem.GVA {
	return sl.Base + guestmem.GVA(sl.Cache.RedLeft+uint64(i)*sl.Cache.Size)
}

// Index returns which object an address is in, its padding included, or -1.
func (sl *Slab) Index(a guestmem.GVA) int {
	if a < sl.Base {
		return -1
	}
	i := uint64(a-sl.Base) / sl.Cache.Size
	if i >= uint64(sl.Objects) {
		return -1
	}
	return int(i)
}

// Allocated says whether object i is in use.
func (sl *Slab) Allocated(i int) bool { return i >= 0 && i < sl.Objects && bit(sl.used, uint64(i)) }

// Slabs knows the slabs of a paused guest.
type Slabs struct {
	k     *Kernel
	pages *Pages
	cpus  []CPU
	cache map[guestmem.GVA]*Cache
	// onCPU are the free lists that CPUs hold for themselves: of the slab
	// that each allocates from, by its descriptor.
	onCPU map[guestmem.GVA][]guestmem.GVA
	// sheaf are the free objects in CPUs' and nodes' sheaves.
	sheaf map[guestmem.GVA]bool
}

// Slabs reads the slab caches and the CPUs' free lists. With an error, and a
// result, the caches that could be read are there.
func (k *Kernel) Slabs(p *Pages) (*Slabs, error) {
	caches, err := k.Caches()
	if caches == nil {
		return nil, err
	}
	s := &Slabs{k: k, pages: p, cache: map[guestmem.GVA]*Cache{}, onCPU: map[guestmem.GVA][]guestmem.GVA{}, sheaf: map[guestmem.GVA]bool{}}
	cpus, cpuErr := k.CPUs()
	s.cpus = cpus
	errs := []error{err, cpuErr}
	for _, c := range caches {
		errs = append(errs, s.add(c))
	}
	return s, errors.Join(errs...)
}

// add takes a cache, with the free objects that are not in its slabs' lists.
func (s *Slabs) add(c *Cache) error {
	s.cache[c.Addr] = c
	return errors.Join(s.cpuLists(c, s.cpus), s.sheaves(c, s.cpus))
}

// unlisted reads a cache that is on no list: one that was destroyed while it
// had objects stays as it is for their sake, and its owner's bug leaks them
// (mm/slab_common.c, kmem_cache_destroy). It must itself be an object in use
// of the cache of caches.
func (s *Slabs) unlisted(addr guestmem.GVA) (*Cache, error) {
	unknown := inconsistent("unknown cache at %#x", uint64(addr))
	v, ok := s.k.Addr("kmem_cache")
	if !ok {
		return nil, unknown
	}
	own, err := s.k.mem.Pointer(v)
	f, inRAM := s.pages.Frame(addr)
	if err != nil || s.cache[own] == nil || !inRAM || s.pages.Class(f) != PageSlab {
		return nil, unknown
	}
	desc := s.k.headDesc(s.pages.mm, f)
	if c, err := s.k.mem.Pointer(desc + guestmem.GVA(s.k.lay.slab.cache.Offset)); err != nil || c != own {
		return nil, unknown
	}
	sl, err := s.at(f)
	if err != nil {
		return nil, err
	}
	if i := sl.Index(addr); !sl.Allocated(i) || sl.Object(i) != addr {
		return nil, unknown
	}
	c, err := s.k.Cache(addr)
	if err != nil {
		return nil, err
	}
	return c, s.add(c)
}

// Caches returns the caches by their address.
func (s *Slabs) Caches() map[guestmem.GVA]*Cache { return s.cache }

func (s *Slabs) cpuLists(c *Cache, cpus []CPU) error {
	lay := &s.k.lay.slab
	if c.cpuSlab == 0 {
		return nil
	}
	for _, cpu := range cpus {
		r := s.k.at(cpu.Addr(c.cpuSlab))
		free, active := r.ptr(lay.cpuFreelist), r.ptr(lay.cpuActive)
		if r.err != nil {
			return fmt.Errorf("slab cache %q on CPU %d: %w", c.Name, cpu.ID, r.err)
		}
		if active != 0 && free != 0 {
			s.onCPU[active] = append(s.onCPU[active], free)
		}
	}
	return nil
}

// Each calls fn with every slab, ascending, until it returns false. Slabs
// that contradict themselves are passed over and make an error, the first of
// which is returned at the end with the number of the others.
func (s *Slabs) Each(fn func(*Slab) bool) error {
	var first error
	bad := 0
	s.pages.Each(func(r PageRange) bool {
		if r.Class != PageSlab {
			return true
		}
		for f := r.Start; f < r.End; {
			sl, err := s.at(f)
			if err != nil {
				if bad++; first == nil {
					first = err
				}
				if bad == maxBadSlabs {
					return false
				}
				f++
				continue
			}
			if !fn(sl) {
				return false
			}
			f += PFN(max(sl.Pages, 1))
		}
		return true
	})
	if bad > 1 {
		return fmt.Errorf("%w (and %d more)", first, bad-1)
	}
	return first
}

// Find returns the slab in which an address is, and the number of the object
// there, -1 for none.
func (s *Slabs) Find(a guestmem.GVA) (*Slab, int, error) {
	f, ok := s.pages.Frame(a)
	if !ok || s.pages.Class(f) != PageSlab {
		return nil, -1, fmt.Errorf("%#x is in no slab", uint64(a))
	}
	sl, err := s.at(f)
	if err != nil {
		return nil, -1, err
	}
	return sl, sl.Index(a), nil
}

// at reads the slab to which frame f belongs.
func (s *Slabs) at(f PFN) (*Slab, error) {
	m := s.pages.mm
	d := s.k.headDesc(m, f)
	head, ok := m.frame(d)
	if !ok || head > f {
		return nil, inconsistent("frame %#x has its head at %#x", uint64(f), uint64(d))
	}
	lay := &s.k.lay.slab
	r := s.k.at(d)
	cache, free := r.ptr(lay.cache), r.ptr(lay.freelist)
	objects, inuse := r.get(lay.objects), r.get(lay.inuse)
	if r.err != nil {
		return nil, fmt.Errorf("slab at frame %#x: %w", uint64(head), r.err)
	}
	c := s.cache[cache]
	if c == nil {
		var err error
		if c, err = s.unlisted(cache); err != nil {
			return nil, fmt.Errorf("slab at frame %#x: %w", uint64(head), err)
		}
	}
	sl := &Slab{Cache: c, Desc: d, Base: m.pageAddr(head), Objects: int(objects)}
	bytes := objects * c.Size
	if objects == 0 || objects > 1<<15 || bytes > maxObjectSize {
		return nil, inconsistent("slab at frame %#x of %q has %d objects", uint64(head), c.Name, objects)
	}
	sl.Pages = s.pagesOf(head, (bytes+m.pageSize-1)/m.pageSize)
	if sl.Pages*m.pageSize < bytes {
		return nil, inconsistent("slab at frame %#x of %q has %d objects in %d pages", uint64(head), c.Name, objects, sl.Pages)
	}
	err := s.markFree(sl, free, inuse)
	return sl, err
}

// pagesOf returns how many frames the slab at head has: all whose descriptor
// names it, at least those that its objects need as far as they are slab.
// (What is left over in a slab is less than its objects.)
func (s *Slabs) pagesOf(head PFN, need uint64) uint64 {
	n := uint64(1)
	for n < 2*need {
		f := head + PFN(n)
		if s.pages.Class(f) != PageSlab {
			break
		}
		if n >= need && s.k.headDesc(s.pages.mm, f) != s.pages.mm.desc(head) {
			break
		}
		n++
	}
	return n
}
