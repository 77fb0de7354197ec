package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// maxKmemleak bounds kmemleak's list of objects.
const maxKmemleak = 1 << 24

// KmemleakObject is what the guest's own kmemleak knows of an object (struct
// kmemleak_object, mm/kmemleak.c), as of its last scan.
type KmemleakObject struct {
	Pointer guestmem.GVA
	Size    uint64
	// MinCount is how many references keep it from being a leak: 0 where it
	// is none anyhow, -1 where it is not looked at. Count is how many were
	// found.
	MinCount, Count int32
	Jiffies         uint64 // of the allocation
	// Reported says that it was taken for a leak at least once.
	Reported bool
	// TooYoung says that it was younger at the last scan than what kmemleak
	// reports, or not there yet.
	TooYoung bool
}

type kmemleakLayout struct {
	present                                       bool
	list, pointer, size, minCount, count, jiffies member
	flags                                         member
}

func newKmemleakLayout(l *layout) kmemleakLayout {
	var m kmemleakLayout
	if !l.has("object_list") || !l.has("jiffies_last_scan") || !l.has("kmemleak_alloc") || l.find(kmemleakRecord, "kmemleak_alloc") == nil {
		return m
	}
	m.present = true
	m.list = l.need(kmemleakRecord, "object_list")
	m.pointer = l.need(kmemleakRecord, "pointer")
	m.size = l.need(kmemleakRecord, "size")
	m.minCount = l.need(kmemleakRecord, "min_count")
	m.count = l.need(kmemleakRecord, "count")
	m.jiffies = l.need(kmemleakRecord, "jiffies")
	m.flags = l.need(kmemleakRecord, "flags")
	return m
}

// Kmemleak returns what the guest's own kmemleak has noted of the objects, of
// which several may have one address (a physical one, or one for each CPU). It
// is ErrUnsupported in a kernel without kmemleak.
func (k *Kernel) Kmemleak() (map[guestmem.GVA]KmemleakObject, error) {
	lay := &k.lay.kmemleak
	if !lay.present {
		return nil, fmt.Errorf("kmemleak: %w", ErrUnsupported)
	}
	last, err := k.word("jiffies_last_scan")
	if err != nil {
		return nil, err
	}
	age, err := k.word("jiffies_min_age")
	if err != nil {
		return nil, err
	}
	const reported, physical = 1 << 1, 1 << 4 // OBJECT_REPORTED, OBJECT_PHYS
	out := map[guestmem.GVA]KmemleakObject{}
	head, _ := k.Addr("object_list")
	var bad error
	err = k.list(head, maxKmemleak, func(node guestmem.GVA) bool {
		r := k.at(node - guestmem.GVA(lay.list.Offset))
		flags := r.get(lay.flags)
		o := KmemleakObject{
			Pointer: r.ptr(lay.pointer), Size: r.get(lay.size), Jiffies: r.get(lay.jiffies), Reported: flags&reported != 0,
			MinCount: int32(r.get(lay.minCount)), Count: int32(r.get(lay.count)),
		}
		// Words wrap: the kernel's time_before_eq.
		since := last - (o.Jiffies + age)
		if k.arch.WordSize == 4 {
			since = uint64(int64(int32(since)))
		}
		o.TooYoung = int64(since) < 0
		if bad = r.err; bad == nil && flags&physical == 0 {
			out[o.Pointer] = o
		}
		return bad == nil
	})
	if bad != nil {
		err = bad
	}
	if err != nil {
		err = fmt.Errorf("kmemleak's objects: %w", err)
	}
	return out, err
}
