package kernel

import (
	"math/bits"

	"github.com/leakvisor/leakvisor/guestmem"
)

// markFree finds which objects of a slab are free: those on its own list and
// on the lists of CPUs that allocate from it, and those in sheaves.
func (s *Slabs) markFree(sl *Slab, freelist guestmem.GVA, inuse uint64) error {
	if inuse == 0 {
		// All are free. The list need not say so: that of a slab that is being
		// made ends anywhere (allocate_slab, mm/slub.c).
		sl.used, sl.Used = make([]uint64, (sl.Objects+63)/64), 0
		return nil
	}
	onCPU := s.onCPU[sl.Desc]
	var err error
	for _, h := range hidings(sl.Cache) {
		sl.used = make([]uint64, (sl.Objects+63)/64)
		for i := range sl.Objects {
			sl.used[i/64] |= 1 << (i % 64)
		}
		sl.Used = sl.Objects
		var n uint64
		if n, err = s.chain(sl, freelist, h); err != nil {
			continue
		}
		// All but what is on the slab's own list counts as in use there.
		if n+inuse != uint64(sl.Objects) {
			err = inconsistent("slab at %#x of %q has %d of %d objects in use and %d free", uint64(sl.Base), sl.Cache.Name, inuse, sl.Objects, n)
		}
		for _, free := range onCPU {
			if err == nil {
				_, err = s.chain(sl, free, h)
			}
		}
		if err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	if len(s.sheaf) > 0 {
		for i := range sl.Objects {
			if s.sheaf[sl.Object(i)] {
				sl.clear(i)
			}
		}
	}
	return nil
}

func (sl *Slab) clear(i int) bool {
	if !bit(sl.used, uint64(i)) {
		return false
	}
	sl.used[i/64] &^= 1 << (i % 64)
	sl.Used--
	return true
}

// hiding is how a pointer to the next free object is hidden: xor with the
// cache's random number and the address at which it is, whose bytes are
// reversed since 5.7 (freelist_ptr, mm/slub.c).
type hiding struct{ random, swab bool }

// hidings returns what to try: a list of another hiding leaves the slab at
// once.
func hidings(c *Cache) []hiding {
	if !c.Hardened {
		return []hiding{{}}
	}
	return []hiding{{true, true}, {true, false}}
}

// chain takes the objects of one free list out of sl.used, and counts them.
func (s *Slabs) chain(sl *Slab, p guestmem.GVA, h hiding) (uint64, error) {
	var n uint64
	for p != 0 {
		i := sl.Index(p)
		if i < 0 || sl.Object(i) != p {
			return n, inconsistent("free list of the slab at %#x of %q leads to %#x", uint64(sl.Base), sl.Cache.Name, uint64(p))
		}
		if !sl.clear(i) {
			return n, inconsistent("free list of the slab at %#x of %q has %#x twice", uint64(sl.Base), sl.Cache.Name, uint64(p))
		}
		n++
		at := p + guestmem.GVA(sl.Cache.Offset)
		v, err := s.k.mem.Word(at)
		if err != nil {
			return n, err
		}
		p = guestmem.GVA(h.show(v, sl.Cache.Random, uint64(at), s.k.arch.WordSize))
	}
	return n, nil
}

func (h hiding) show(v, random, at uint64, word int) uint64 {
	if !h.random {
		return v
	}
	if h.swab {
		at = bits.ReverseBytes64(at)
		if word == 4 {
			at >>= 32
		}
	}
	return v ^ random ^ at
}
