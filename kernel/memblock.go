package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// maxRegions bounds a memblock table.
const maxRegions = 1 << 16

// Memblock is the boot-time allocator's view of physical memory.
type Memblock struct {
	Memory, Reserved []guestmem.Range[guestmem.GPA]
}

type memblockLayout struct {
	present          bool
	memory, reserved member // memblock
	cnt, regions     member // memblock_type
	base, size       member // memblock_region
	stride           uint64
}

func newMemblockLayout(l *layout) memblockLayout {
	m := memblockLayout{present: l.has("memblock")}
	if !m.present {
		return m
	}
	near := []string{"memblock_reserve", "__memblock_reserve", "memblock_add"}
	l.find("memblock", near...)
	l.find("memblock_type", near...)
	l.find("memblock_region", near...)
	m.memory = l.need("memblock", "memory")
	m.reserved = l.need("memblock", "reserved")
	m.cnt = l.need("memblock_type", "cnt")
	m.regions = l.need("memblock_type", "regions")
	m.base = l.need("memblock_region", "base")
	m.size = l.need("memblock_region", "size")
	m.stride = l.size("memblock_region")
	return m
}

// Memblock reads the boot-time allocator. Most kernels free its tables when
// the boot is over (they are kept with CONFIG_ARCH_KEEP_MEMBLOCK): then the
// error wraps ErrUnsupported.
func (k *Kernel) Memblock() (*Memblock, error) {
	lay := &k.lay.memblk
	at, ok := k.Addr("memblock")
	if !lay.present || !ok {
		return nil, fmt.Errorf("memblock: %w", ErrUnsupported)
	}
	gone := k.initFreed()
	if init, ok := k.span("__init_begin", "__init_end"); ok && init.Contains(at) && gone {
		return nil, fmt.Errorf("memblock was discarded at the end of the boot: %w", ErrUnsupported)
	}
	out := &Memblock{}
	for _, t := range []struct {
		what string
		m    member
		out  *[]guestmem.Range[guestmem.GPA]
	}{{"memory", lay.memory, &out.Memory}, {"reserved", lay.reserved, &out.Reserved}} {
		r := k.at(at + guestmem.GVA(t.m.Offset))
		cnt, regions := r.get(lay.cnt), r.ptr(lay.regions)
		if r.err != nil {
			return nil, fmt.Errorf("memblock %s: %w", t.what, r.err)
		}
		if cnt > maxRegions {
			return nil, inconsistent("memblock has %d %s regions", cnt, t.what)
		}
		// memblock_discard (only there without ARCH_KEEP_MEMBLOCK) frees
		// tables that have outgrown the static ones.
		if static, ok := k.Addr("memblock_" + t.what + "_init_regions"); ok && static != regions && k.has("memblock_discard") && gone {
			return nil, fmt.Errorf("memblock's %s table was discarded at the end of the boot: %w", t.what, ErrUnsupported)
		}
		for i := range cnt {
			r := k.at(regions + guestmem.GVA(i*lay.stride))
			base, size := r.get(lay.base), r.get(lay.size)
			if r.err != nil {
				return nil, fmt.Errorf("memblock %s: %w", t.what, r.err)
			}
			if base+size < base {
				return nil, inconsistent("memblock %s region at %#x of %#x bytes", t.what, base, size)
			}
			*t.out = append(*t.out, guestmem.Range[guestmem.GPA]{Start: guestmem.GPA(base), End: guestmem.GPA(base + size)})
		}
	}
	return out, nil
}

func (k *Kernel) has(symbol string) bool { _, ok := k.Addr(symbol); return ok }

// initFreed says whether the kernel has freed its init sections: system_state
// is at or past SYSTEM_FREEING_INITMEM (5.15) or SYSTEM_RUNNING.
func (k *Kernel) initFreed() bool {
	v, err := k.number("system_state")
	if err != nil {
		return false
	}
	first, ok := k.lay.time.states["SYSTEM_FREEING_INITMEM"]
	if !ok {
		first, ok = k.lay.time.states["SYSTEM_RUNNING"]
	}
	return ok && int64(v) >= first
}
