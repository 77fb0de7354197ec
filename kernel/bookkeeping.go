package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// kmemleakRecord is the slab cache and the structure of what kmemleak notes
// about an object.
const kmemleakRecord = "kmemleak_object"

// debugCaches are the slab caches of what debugging tools note about other
// objects, by name: kmemleak's (mm/kmemleak.c) and DEBUG_OBJECTS'
// (lib/debugobjects.c). They are never merged with others.
var debugCaches = map[string]bool{
	kmemleakRecord: true, "kmemleak_scan_area": true, "debug_objects_cache": true,
}

// Bookkeeping says whether the objects of the slab cache of that name are a
// debugging tool's records of other objects: they are no references to those,
// and no leaks.
func Bookkeeping(cache string) bool { return debugCaches[cache] }

// Bounds for the stack depot.
const (
	maxDepotPools = 8192 // DEPOT_POOLS_CAP, lib/stackdepot.c
	maxDepotPool  = 1 << 24
	// depotAlign is log2 of the alignment of a record in the depot
	// (DEPOT_STACK_ALIGN).
	depotAlign = 4
)

var nearDepot = []string{"stack_depot_fetch", "stack_depot_save", "stack_depot_save_flags"}

// bookkeepingLayout is of what debugging tools keep outside slab caches.
type bookkeepingLayout struct {
	// kmemleak is the size of kmemleak's record of an object, zero where the
	// kernel has no kmemleak. rcu is the record's RCU head, users the count of
	// its users.
	kmemleak   uint64
	rcu, users member
	// depot is the variable with the stack depot's pools, depotPool the size
	// of one.
	depot     string
	depotPool uint64
}

func newBookkeepingLayout(l *layout) bookkeepingLayout {
	var b bookkeepingLayout
	if l.has("kmemleak_alloc") && l.find(kmemleakRecord, "kmemleak_alloc") != nil {
		b.kmemleak = l.size(kmemleakRecord)
		b.rcu = l.need(kmemleakRecord, "rcu")
		b.users = l.need(kmemleakRecord, "use_count")
	}
	for _, name := range []string{"stack_pools", "stack_slabs"} { // until 6.3 the latter
		if !l.has(name) || l.find("handle_parts", nearDepot...) == nil {
			continue
		}
		// How many bits an offset takes tells the size of what it is in.
		if offset, ok := l.opt("handle_parts", "offset"); ok && offset.BitSize > 0 && offset.BitSize < 24 {
			b.depot, b.depotPool = name, 1<<(offset.BitSize+depotAlign)
		}
		break
	}
	return b
}

// Link returns the one part of an object of the cache, if Bookkeeping says
// that it is a record, which may hold a reference all the same: objects of any
// kind that wait for RCU are chained by their RCU heads.
func (k *Kernel) Link(c *Cache, record guestmem.GVA) (_ guestmem.Range[guestmem.GVA], ok bool) {
	if c.Name != kmemleakRecord || k.lay.bookkeeping.kmemleak == 0 || !k.waits(record) {
		return guestmem.Range[guestmem.GVA]{}, false
	}
	start := record + guestmem.GVA(k.lay.bookkeeping.rcu.Offset)
	return guestmem.Range[guestmem.GVA]{Start: start, End: start + guestmem.GVA(k.lay.bookkeeping.rcu.Size)}, true
}

// waits says whether a record of kmemleak's is unused, so that it may wait for
// RCU: in others the RCU head is whatever was there before.
func (k *Kernel) waits(record guestmem.GVA) bool {
	r := k.at(record)
	return r.get(k.lay.bookkeeping.users) == 0 || r.err != nil
}

// Bookkeeping returns the memory outside slab caches in which debugging tools
// note addresses of other objects: kmemleak's records from before the slab
// allocator was up, and the backtraces of the stack depot, in which an
// address of code may have become that of another block since.
func (k *Kernel) Bookkeeping() ([]guestmem.Range[guestmem.GVA], error) {
	lay := &k.lay.bookkeeping
	var out []guestmem.Range[guestmem.GVA]
	if lay.kmemleak > 0 {
		// The name is common; the array has whole records.
		if s, ok := k.info.symbol("mem_pool"); ok && s.Size >= lay.kmemleak && s.Size%lay.kmemleak == 0 {
			at := guestmem.GVA(s.Addr + k.slide)
			end := at + guestmem.GVA(s.Size)
			for ; at < end; at += guestmem.GVA(lay.kmemleak) {
				next, rcu := at+guestmem.GVA(lay.kmemleak), at+guestmem.GVA(lay.rcu.Offset)
				if !k.waits(at) {
					out = append(out, guestmem.Range[guestmem.GVA]{Start: at, End: next})
					continue
				}
				out = append(out, guestmem.Range[guestmem.GVA]{Start: at, End: rcu},
					guestmem.Range[guestmem.GVA]{Start: rcu + guestmem.GVA(lay.rcu.Size), End: next})
			}
		}
	}
	pools, err := k.depotPools()
	return append(out, pools...), err
}

func (k *Kernel) depotPools() ([]guestmem.Range[guestmem.GVA], error) {
	lay := &k.lay.bookkeeping
	if lay.depot == "" || lay.depotPool > maxDepotPool {
		return nil, nil
	}
	s, _ := k.info.symbol(lay.depot)
	at, w := guestmem.GVA(s.Addr+k.slide), uint64(k.arch.WordSize)
	n := min(s.Size/w, maxDepotPools)
	if n == 1 { // a pointer to the array
		var err error
		if at, err = k.mem.Pointer(at); err != nil {
			return nil, fmt.Errorf("the stack depot: %w", err)
		}
		n = maxDepotPools
	}
	var out []guestmem.Range[guestmem.GVA]
	for i := range n {
		pool, err := k.mem.Pointer(at + guestmem.GVA(i*w))
		if err != nil {
			return out, fmt.Errorf("pool %d of the stack depot: %w", i, err)
		}
		if pool == 0 {
			break
		}
		if uint64(pool)%k.pageSize() != 0 || pool+guestmem.GVA(lay.depotPool) < pool {
			return out, inconsistent("pool %d of the stack depot is at %#x", i, uint64(pool))
		}
		out = append(out, guestmem.Range[guestmem.GVA]{Start: pool, End: pool + guestmem.GVA(lay.depotPool)})
	}
	return out, nil
}
