package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// maxKFENCE is the most objects that KFENCE can be configured for
// (CONFIG_KFENCE_NUM_OBJECTS, lib/Kconfig.kfence).
const maxKFENCE = 65535

var nearKFENCE = []string{"__kfence_alloc", "kfence_shutdown_cache", "kfence_init_pool"}

// KFENCE is the pool from which KFENCE serves a sample of the slab allocations
// (mm/kfence/core.c): every second page has one object or none, the others
// are guards that nobody may touch.
type KFENCE struct {
	Pool    guestmem.Range[guestmem.GVA]
	Objects []KFENCEObject
	// Words are what KFENCE's own records hold of the addresses in the pool,
	// whoever owns the object there: they name objects without keeping them.
	Words []guestmem.Range[guestmem.GVA]
}

// KFENCEObject is one object that is allocated.
type KFENCEObject struct {
	Addr  guestmem.GVA
	Size  uint64       // bytes, as asked for: behind it is the end of the page
	Cache guestmem.GVA // of its struct kmem_cache; zero for one that is gone
}

type kfenceLayout struct {
	present            bool
	pointer            bool // kfence_metadata is no array but points to one
	count              uint64
	stride             uint64
	addr, size, cache  member
	state, unprotected member
	allocated          int64
}

func newKFENCELayout(l *layout) kfenceLayout {
	var f kfenceLayout
	meta, ok := l.info.symbol("kfence_metadata")
	if !ok || !l.has("__kfence_pool") || l.find("kfence_metadata", nearKFENCE...) == nil {
		return f
	}
	f.present = true
	f.stride = l.size("kfence_metadata")
	f.count = maxKFENCE
	// The records are an array until 6.5, and allocated at boot since.
	if f.pointer = meta.Size <= uint64(l.info.arch().WordSize); !f.pointer {
		f.count = min(f.count, meta.Size/max(f.stride, 1))
	}
	f.addr = l.need("kfence_metadata", "addr")
	f.size = l.need("kfence_metadata", "size")
	f.cache = l.need("kfence_metadata", "cache")
	f.state = l.need("kfence_metadata", "state")
	f.unprotected, _ = l.opt("kfence_metadata", "unprotected_page")
	f.allocated = l.needConstant("KFENCE_OBJECT_ALLOCATED", nearKFENCE...)
	return f
}

// KFENCE reads KFENCE's records. A kernel without KFENCE, or in which it is
// off, has an empty pool.
func (k *Kernel) KFENCE() (*KFENCE, error) {
	out := &KFENCE{}
	lay := &k.lay.kfence
	if !lay.present {
		return out, nil
	}
	pool, err := k.word("__kfence_pool")
	if err != nil {
		return out, err
	}
	at, _ := k.Addr("kfence_metadata")
	if lay.pointer {
		p, err := k.word("kfence_metadata")
		if err != nil {
			return out, err
		}
		at = guestmem.GVA(p)
	}
	if pool == 0 || at == 0 {
		return out, nil
	}
	// A record's address is always in its own page, which is also how the
	// records' number shows: that is in no type.
	page := k.pageSize()
	n := uint64(0)
	for ; n < lay.count; n++ {
		own := pool + (n+1)*2*page
		r := k.at(at + guestmem.GVA(n*lay.stride))
		addr := r.get(lay.addr)
		if r.err != nil || addr&^(page-1) != own {
			break
		}
		for _, m := range []member{lay.addr, lay.unprotected} {
			if m.Size > 0 {
				start := r.base + guestmem.GVA(m.Offset)
				out.Words = append(out.Words, guestmem.Range[guestmem.GVA]{Start: start, End: start + guestmem.GVA(m.Size)})
			}
		}
		state, o := r.get(lay.state), KFENCEObject{Addr: guestmem.GVA(addr), Size: r.get(lay.size), Cache: r.ptr(lay.cache)}
		if r.err != nil {
			return out, fmt.Errorf("record %d of KFENCE: %w", n, r.err)
		}
		if int64(state) != lay.allocated {
			continue
		}
		if o.Size > own+page-addr {
			return out, inconsistent("KFENCE object at %#x has %d bytes", addr, o.Size)
		}
		out.Objects = append(out.Objects, o)
	}
	if n > 0 {
		out.Pool = guestmem.Range[guestmem.GVA]{Start: guestmem.GVA(pool), End: guestmem.GVA(pool + (n+1)*2*page)}
	}
	return out, nil
}
