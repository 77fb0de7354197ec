// Package stackdepot keeps each distinct backtrace once, as Linux's stack
// depot (lib/stackdepot.c) does: a boot has some hundred thousand
// allocations, but only some thousand ways to get there.
package stackdepot

import (
	"slices"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Depot interns backtraces. The number of a backtrace is its identity: two
// equal backtraces have the same. A Depot is not for several goroutines.
type Depot struct {
	index map[uint64]uint32 // hash to the latest backtrace with it
	list  []entry
	pcs   []guestmem.GVA // all backtraces, one after the other
}

type entry struct {
	start uint32 // in pcs
	count uint16
	next  uint32 // with the same hash, none where it is the entry itself
}

// New returns an empty Depot.
func New() *Depot { return &Depot{index: map[uint64]uint32{}} }

// Intern returns the number of a backtrace, which it copies. Frames beyond
// 65535 are cut.
func (d *Depot) Intern(pcs []guestmem.GVA) uint32 {
	pcs = pcs[:min(len(pcs), 1<<16-1)]
	h := hash(pcs)
	head, ok := d.index[h]
	for i := head; ok; i = d.list[i].next {
		if slices.Equal(d.Get(i), pcs) {
			return i
		}
		if d.list[i].next == i {
			break
		}
	}
	id := uint32(len(d.list))
	e := entry{start: uint32(len(d.pcs)), count: uint16(len(pcs)), next: id}
	if ok {
		e.next = head
	}
	d.pcs = append(d.pcs, pcs...)
	d.list = append(d.list, e)
	d.index[h] = id
	return id
}

// Get returns a backtrace by its number, nil for one that was never given
// out. It must not be changed.
func (d *Depot) Get(id uint32) []guestmem.GVA {
	if uint64(id) >= uint64(len(d.list)) {
		return nil
	}
	e := d.list[id]
	return d.pcs[e.start : e.start+uint32(e.count) : e.start+uint32(e.count)]
}

// Len is the number of distinct backtraces.
func (d *Depot) Len() int { return len(d.list) }

// hash mixes the addresses by multiplication (splitmix64's constants); equal
// hashes cost time, nothing else.
func hash(pcs []guestmem.GVA) uint64 {
	h := uint64(len(pcs))
	for _, pc := range pcs {
		h = (h ^ uint64(pc)) * 0xbf58476d1ce4e5b9
		h ^= h >> 29
	}
	return h
}
