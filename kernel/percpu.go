package kernel

import (
	"fmt"
	"math/bits"

	"github.com/leakvisor/leakvisor/guestmem"
)

// PerCPUAreas is how the per-CPU allocator (mm/percpu.c) has laid out
// memory. A unit is one CPU's part of a chunk; all offsets are bytes.
type PerCPUAreas struct {
	Base       guestmem.GVA // pcpu_base_addr: unit 0 of the first chunk
	UnitSize   uint64
	StaticSize uint64 // of the kernel's own variables, at a unit's start
	// PtrStart is the per-CPU pointer that names Base: __per_cpu_start.
	PtrStart uint64
	CPUs     []CPU
	// Units are the offsets of the CPUs' units from Base, as CPUs.
	Units []uint64
	// Chunks lists the first chunk's dynamic part, its part that is reserved
	// for modules' static variables, if any, and all further chunks.
	Chunks []PerCPUChunk
}

// PerCPUChunk is one chunk of the per-CPU allocator.
type PerCPUChunk struct {
	Addr     guestmem.GVA // of the struct pcpu_chunk
	Base     guestmem.GVA // base_addr: where unit 0's part of it starts, page aligned
	Size     uint64       // of the part in each unit, whole pages
	First    bool         // lies behind the static area
	Reserved bool         // for modules' static variables
	// BaseWord is the word with Base: it names whatever lies at the chunk's
	// start without holding a reference.
	BaseWord guestmem.Range[guestmem.GVA]
	// Populated are the parts of [0, Size) with memory behind them.
	Populated []guestmem.Range[uint64]
	// Allocated are the parts of [0, Size) in use, one each allocation.
	Allocated []guestmem.Range[uint64]
}

type perCPULayout struct {
	list, base, startOff, endOff, pages, populated, allocMap, boundMap member
	types                                                              uint64 // lists a slot
	single                                                             bool   // without SMP
}

// Bounds for the per-CPU allocator.
const (
	maxUnitSize  = 1 << 24 // bytes
	maxChunks    = 1 << 10
	maxAllocs    = 1 << 20 // in all chunks
	maxSlots     = 256
	pcpuMinAlloc = 4 // PCPU_MIN_ALLOC_SIZE, include/linux/percpu.h (4.14 to 6.18)
)

func newPerCPULayout(l *layout) perCPULayout {
	single := !l.has("__per_cpu_offset")
	if single && !l.has("pcpu_base_addr") {
		return perCPULayout{} // no SMP, before 2.6.33: no areas
	}
	l.find("pcpu_chunk", nearPerCPU...)
	l.needSymbol("pcpu_base_addr")
	l.needSymbol("pcpu_unit_size")
	l.needSymbol("pcpu_unit_offsets")
	l.needSymbol("pcpu_first_chunk")
	l.needSymbol("pcpu_chunk_lists", "pcpu_slot")
	l.needSymbol("pcpu_nr_slots")
	if !single {
		l.needSymbol("__per_cpu_start")
		l.needSymbol("__per_cpu_end")
	}
	p := perCPULayout{
		single:    single,
		list:      l.need("pcpu_chunk", "list"),
		base:      l.need("pcpu_chunk", "base_addr"),
		pages:     l.need("pcpu_chunk", "nr_pages"),
		populated: l.need("pcpu_chunk", "populated"),
		types:     1,
	}
	p.startOff, _ = l.opt("pcpu_chunk", "start_offset")
	p.endOff, _ = l.opt("pcpu_chunk", "end_offset")
	p.allocMap, _ = l.opt("pcpu_chunk", "alloc_map")
	p.boundMap, _ = l.opt("pcpu_chunk", "bound_map")
	// 5.9 to 5.13 have the lists of each chunk type one after the other.
	if l.has("pcpu_chunk_lists") && !l.has("pcpu_to_depopulate_slot") {
		if n, _ := l.constant("PCPU_NR_CHUNK_TYPES", nearPerCPU...); n > 0 && n <= 4 {
			p.types = uint64(n)
		}
	}
	return p
}

// Copy returns where a CPU's copy of the per-CPU allocation ptr is, ptr as
// the allocator returned it.
func (p *PerCPUAreas) Copy(cpu int, ptr uint64) guestmem.GVA { return p.CPUs[cpu].Addr(ptr) }

// Static returns the range of the kernel's per-CPU variables of CPUs[cpu].
func (p *PerCPUAreas) Static(cpu int) guestmem.Range[guestmem.GVA] {
	start := p.Base + guestmem.GVA(p.Units[cpu])
	return guestmem.Range[guestmem.GVA]{Start: start, End: start + guestmem.GVA(p.StaticSize)}
}

// Range returns where the part r of chunk c is in the unit of CPUs[cpu].
func (p *PerCPUAreas) Range(c *PerCPUChunk, cpu int, r guestmem.Range[uint64]) guestmem.Range[guestmem.GVA] {
	start := c.Base + guestmem.GVA(p.Units[cpu])
	return guestmem.Range[guestmem.GVA]{Start: start + guestmem.GVA(r.Start), End: start + guestmem.GVA(r.End)}
}

// Ptr returns the per-CPU pointer of what lies off bytes into chunk c.
func (p *PerCPUAreas) Ptr(c *PerCPUChunk, off uint64) uint64 {
	return uint64(c.Base) + off - uint64(p.Base) + p.PtrStart
}

// PerCPUAreas reads the per-CPU allocator. With an error it returns what it
// could read; nil where there is nothing, as in an old kernel without SMP or
// before the areas are set up.
func (k *Kernel) PerCPUAreas() (*PerCPUAreas, error) {
	if k.lay.percpu.base.Size == 0 {
		return nil, fmt.Errorf("per-CPU areas: %w", ErrUnsupported)
	}
	p := &PerCPUAreas{}
	base, err := k.word("pcpu_base_addr")
	if err != nil {
		return nil, err
	}
	if base == 0 {
		return nil, fmt.Errorf("per-CPU areas are not set up yet: %w", ErrUnsupported)
	}
	p.Base = guestmem.GVA(base)
	if p.UnitSize, err = k.number("pcpu_unit_size"); err != nil {
		return nil, err
	}
	if k.lay.percpu.single {
		// Static variables are like others, and a pointer is the address
		// (include/asm-generic/percpu.h, mm/percpu.c).
		p.PtrStart = base
	} else {
		p.PtrStart, _ = k.PerCPU("__per_cpu_start")
		end, _ := k.PerCPU("__per_cpu_end")
		p.StaticSize = end - p.PtrStart
	}
	if p.UnitSize > maxUnitSize || p.StaticSize > p.UnitSize {
		return nil, inconsistent("per-CPU units of %#x bytes with %#x static", p.UnitSize, p.StaticSize)
	}
	if p.CPUs, err = k.CPUs(); err != nil {
		return nil, err
	}
	units, err := k.word("pcpu_unit_offsets")
	if err != nil {
		return nil, err
	}
	for _, c := range p.CPUs {
		off, err := k.mem.Word(guestmem.GVA(units + uint64(c.ID*k.arch.WordSize)))
		if err != nil {
			return nil, fmt.Errorf("pcpu_unit_offsets: %w", err)
		}
		p.Units = append(p.Units, off)
	}
	err = k.chunks(p)
	return p, err
}

// chunks finds all chunks.
func (k *Kernel) chunks(p *PerCPUAreas) error {
	seen := map[guestmem.GVA]bool{}
	var first error
	left := maxAllocs
	add := func(at guestmem.GVA, isFirst, reserved bool) {
		if at == 0 || seen[at] || len(seen) >= maxChunks {
			return
		}
		seen[at] = true
		c, err := k.chunk(at, p.UnitSize, left)
		left -= len(c.Allocated)
		c.First, c.Reserved = isFirst, reserved
		if err != nil {
			if first == nil {
				first = fmt.Errorf("per-CPU chunk at %#x: %w", uint64(at), err)
			}
			if c.Size == 0 {
				return
			}
		}
		p.Chunks = append(p.Chunks, c)
	}
	one, err := k.word("pcpu_first_chunk")
	if err != nil {
		return err
	}
	add(guestmem.GVA(one), true, false)
	if _, ok := k.Addr("pcpu_reserved_chunk"); ok {
		res, err := k.word("pcpu_reserved_chunk")
		if err != nil {
			return err
		}
		add(guestmem.GVA(res), true, true)
	}
	name := "pcpu_chunk_lists"
	if _, ok := k.Addr(name); !ok {
		name = "pcpu_slot"
	}
	lists, err := k.word(name)
	if err != nil {
		return err
	}
	n, err := k.number("pcpu_nr_slots")
	if err != nil {
		return err
	}
	if n > maxSlots {
		return inconsistent("%d slots of per-CPU chunks", n)
	}
	head := uint64(2 * k.arch.WordSize)
	for i := range n * k.lay.percpu.types {
		err := k.list(guestmem.GVA(lists+i*head), maxChunks, func(node guestmem.GVA) bool {
			add(node-guestmem.GVA(k.lay.percpu.list.Offset), false, false)
			return len(seen) < maxChunks
		})
		if err != nil && first == nil {
			first = fmt.Errorf("per-CPU chunks: %w", err)
		}
	}
	return first
}

func (k *Kernel) chunk(at guestmem.GVA, unit uint64, left int) (PerCPUChunk, error) {
	lay := &k.lay.percpu
	r := k.at(at)
	c := PerCPUChunk{Addr: at, Base: r.ptr(lay.base), BaseWord: r.span(lay.base)}
	pages := r.get(lay.pages)
	start, end := r.get(lay.startOff), r.get(lay.endOff)
	allocMap, boundMap := r.ptr(lay.allocMap), r.ptr(lay.boundMap)
	if r.err != nil {
		return c, r.err
	}
	if pages == 0 || pages > unit/k.pageSize() {
		return c, inconsistent("%d pages in a unit of %#x bytes", pages, unit)
	}
	c.Size = pages * k.pageSize()
	populated, err := k.bitmap(r.addr(lay.populated), pages)
	if err != nil {
		return c, err
	}
	c.Populated = runs(populated, pages, k.pageSize())
	if allocMap == 0 || boundMap == 0 || start > c.Size || end > c.Size-start {
		return c, nil
	}
	n := c.Size / pcpuMinAlloc
	used, err := k.bitmap(allocMap, n)
	if err != nil {
		return c, err
	}
	bounds, err := k.bitmap(boundMap, n+1)
	if err != nil {
		return c, err
	}
	c.Allocated = allocations(used, bounds, start/pcpuMinAlloc, (c.Size-end)/pcpuMinAlloc, left)
	if len(c.Allocated) > left {
		c.Allocated = nil
		return c, inconsistent("there are more than %d per-CPU allocations", maxAllocs)
	}
	return c, nil
}

// bitmap reads n bits of an array of unsigned long, as words.
func (k *Kernel) bitmap(at guestmem.GVA, n uint64) ([]uint64, error) {
	w := uint64(k.arch.WordSize)
	buf := make([]byte, (n+w*8-1)/(w*8)*w)
	if err := guestmem.Read(k.mem, at, buf); err != nil {
		return nil, err
	}
	out := make([]uint64, (n+63)/64)
	for i := uint64(0); i < uint64(len(buf)); i += w {
		out[i/8] |= k.arch.Word(buf[i:]) << (i % 8 * 8)
	}
	return out, nil
}

func bit(words []uint64, i uint64) bool {
	return i/64 < uint64(len(words)) && words[i/64]>>(i%64)&1 != 0
}

// nextBit returns the first bit from i on that is as wanted, or n.
func nextBit(words []uint64, i, n uint64, want bool) uint64 {
	for i < n {
		w := words[i/64]
		if !want {
			w = ^w
		}
		if w >>= i % 64; w != 0 {
			return min(i+uint64(bits.TrailingZeros64(w)), n)
		}
		i = (i/64 + 1) * 64
	}
	return n
}

// runs returns the ranges of set bits, each bit of unit bytes.
func runs(words []uint64, n, unit uint64) []guestmem.Range[uint64] {
	var out []guestmem.Range[uint64]
	for i := nextBit(words, 0, n, true); i < n; {
		end := nextBit(words, i, n, false)
		out = append(out, guestmem.Range[uint64]{Start: i * unit, End: end * unit})
		i = nextBit(words, end, n, true)
	}
	return out
}

// allocations splits the used bits of [from, to) at the set bits of bounds,
// each of which starts an area, in use or not (struct pcpu_chunk, 4.14). It
// stops when there are more than limit.
func allocations(used, bounds []uint64, from, to uint64, limit int) []guestmem.Range[uint64] {
	var out []guestmem.Range[uint64]
	for i := nextBit(used, from, to, true); i < to && len(out) <= limit; {
		end := min(nextBit(used, i, to, false), nextBit(bounds, i+1, to, true))
		out = append(out, guestmem.Range[uint64]{Start: i * pcpuMinAlloc, End: end * pcpuMinAlloc})
		i = nextBit(used, end, to, true)
	}
	return out
}
