package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// maxCPUs bounds CPU numbers: CONFIG_NR_CPUS is at most 8192 (x86 MAXSMP).
const maxCPUs = 8192

// CPU is one possible CPU.
type CPU struct {
	ID int // Linux's number
	// Offset is __per_cpu_offset: it is added to a per-CPU pointer or symbol
	// to get this CPU's copy. Zero on a kernel without SMP.
	Offset uint64

	short bool // sums wrap at 32 bits
}

// Addr returns where the CPU's copy is of what the per-CPU pointer names.
func (c CPU) Addr(ptr uint64) guestmem.GVA {
	if c.short {
		return guestmem.GVA(uint32(ptr + c.Offset))
	}
	return guestmem.GVA(ptr + c.Offset)
}

// CPUs returns the possible CPUs, in order. Early in boot, before the
// per-CPU areas are set up, all offsets are those of the initial copy.
func (k *Kernel) CPUs() ([]CPU, error) {
	mask, ok := k.info.symbol("__cpu_possible_mask")
	if !ok {
		if mask, ok = k.info.symbol("cpu_possible_bits"); !ok { // before 4.5
			return []CPU{{}}, nil // no SMP
		}
	}
	offsets, ok := k.info.symbol("__per_cpu_offset")
	if !ok {
		return []CPU{{}}, nil
	}
	w := uint64(k.arch.WordSize)
	limit := min(mask.Size*8, offsets.Size/w, maxCPUs)
	if n, err := k.number("nr_cpu_ids"); err == nil && n > 0 {
		limit = min(limit, n)
	}
	var out []CPU
	var bits uint64
	for id := range limit {
		if id%(w*8) == 0 {
			var err error
			if bits, err = k.mem.Word(guestmem.GVA(mask.Addr + k.slide + id/8)); err != nil {
				return out, fmt.Errorf("possible CPUs: %w", err)
			}
		}
		if bits>>(id%(w*8))&1 == 0 {
			continue
		}
		off, err := k.mem.Word(guestmem.GVA(offsets.Addr + k.slide + id*w))
		if err != nil {
			return out, fmt.Errorf("per-CPU offset of CPU %d: %w", id, err)
		}
		out = append(out, CPU{ID: int(id), Offset: off, short: w == 4})
	}
	if len(out) == 0 {
		return nil, inconsistent("no CPU is possible")
	}
	return out, nil
}

// PerCPU returns the per-CPU pointer of a per-CPU variable, for CPU.Addr.
func (k *Kernel) PerCPU(symbol string) (ptr uint64, ok bool) {
	s, ok := k.info.symbol(symbol)
	return s.Addr + k.perCPUSlide, ok
}

// perCPUWord reads a word-sized per-CPU variable on one CPU.
func (k *Kernel) perCPUWord(c CPU, ptr uint64) (uint64, error) { return k.mem.Word(c.Addr(ptr)) }
