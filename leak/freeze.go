package leak

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/kernel"
)

// frozen is the guest at one instant. It is all that must be had while the
// guest stands still; it is judged when the guest runs on.
type frozen struct {
	why       string
	registers []map[string]uint64
	hidden    []hv.Hidden   // beside registers
	pages     *kernel.Pages // nil where they cannot be told
	pagesErr  error
	memory    *guestmem.Snapshot
	lost      uint64
	pause     func() time.Duration // how long the guest stood still
}

// scan takes what the paused guest is; deliver judges it. memory is from
// rehearse, or nil.
func (s *Session) scan(why string, memory *guestmem.Snapshot) error {
	if s.kernel == nil {
		return fmt.Errorf("%w: it reached its %s before its kernel was up", ErrGuestFailed, why)
	}
	if err := s.refreshTables(); err != nil {
		return err
	}
	began := time.Now()
	s.progress("scanning at " + why)
	f := &frozen{why: why, memory: memory, lost: s.m.Lost(), pause: s.pauseClock()}
	if f.memory == nil {
		f.memory = new(guestmem.Snapshot)
	}
	for i := range s.m.VCPUs() {
		regs, err := s.m.Registers(context.Background(), i)
		if err != nil {
			return fmt.Errorf("reading the registers of vCPU %d: %w", i, err)
		}
		f.registers = append(f.registers, regs)
		f.hidden = append(f.hidden, hv.Hidden{})
		m, ok := s.m.(hv.Hider)
		if !ok || s.arch.Linux.UserMode.In(regs) {
			continue
		}
		if f.hidden[i], err = m.Hidden(context.Background(), i); err != nil {
			return fmt.Errorf("reading what vCPU %d has besides its registers: %w", i, err)
		}
		if frames := f.hidden[i].Frames; len(frames) > 0 {
			regs[s.arch.Call.SP] = uint64(frames[0].Addr) - s.arch.Call.Bias
		}
	}
	f.pages, f.pagesErr = s.kernel.Pages()
	if f.pages != nil {
		blocks := claims{mem: s.kmem}
		for o := range s.tracker.LiveSet(hooks.Vmalloc).All() {
			blocks.add(gvaRange{Start: o.Addr, End: o.Addr + guestmem.GVA(o.Size)}, f.pages.PageSize())
		}
		f.memory.Take(s.m.Memory(), append(s.inUse(s.kmem, s.kernel, f.pages), blocks.ranges...))
	}
	if f.pause == nil {
		took := time.Since(began)
		f.pause = func() time.Duration { return took }
	}
	s.pending = append(s.pending, f)
	return nil
}

// complete writes to the copy of the memory, which mem reads, what of the stacks
// the vCPUs had in registers. A process can name any place for its own, so that
// only what lies in one of the kernel's stacks counts.
func (f *frozen) complete(mem *guestmem.AddressSpace, stacks []gvaRange) error {
	for _, h := range f.hidden {
		for _, u := range h.Frames {
			end := u.Addr + guestmem.GVA(len(u.Bytes))
			ours := func(st gvaRange) bool { return st.Start <= u.Addr && u.Addr < end && end <= st.End }
			if !slices.ContainsFunc(stacks, ours) {
				continue
			}
			for at, b := u.Addr, u.Bytes; len(b) > 0; {
				gpa, left, err := mem.Translate(at)
				if err != nil {
					return err
				}
				n := min(left, uint64(len(b)))
				if err := f.memory.Write(gpa, b[:n]); err != nil {
					return err
				}
				at, b = at+guestmem.GVA(n), b[n:]
			}
		}
	}
	return nil
}

// pauseClock starts to count how long the present pause takes; nil where the
// machine cannot tell.
func (s *Session) pauseClock() func() time.Duration {
	clock, ok := s.m.(hv.PauseClock)
	if !ok {
		return nil
	}
	before, _ := clock.Paused()
	return func() time.Duration {
		total, current := clock.Paused()
		return total + current - before
	}
}

// rehearse does, while the guest runs, what scan does when it stands still:
// most of a first time goes into host memory's being mapped. It may be called
// from any goroutine; what it returns is for scan, and is nil before there is
// anything to scan.
func (s *Session) rehearse() *guestmem.Snapshot {
	g := s.live.Load()
	if g == nil {
		return nil
	}
	memory := new(guestmem.Snapshot)
	if pages, _ := g.kernel.Pages(); pages != nil {
		memory.Take(s.m.Memory(), s.inUse(g.mem, g.kernel, pages))
	}
	return memory
}

// inUse returns where memory lies that the kernel uses itself, other than its
// code and the descriptors of free pages.
func (s *Session) inUse(mem *guestmem.AddressSpace, k *kernel.Kernel, pages *kernel.Pages) []guestmem.Range[guestmem.GPA] {
	rest := claims{mem: mem}
	start, ok1 := k.Addr("_text")
	end, ok2 := k.Addr("_etext")
	if ok1 && ok2 {
		rest.add(gvaRange{Start: start, End: end}, pages.PageSize())
	}
	pages.Each(func(r kernel.PageRange) bool {
		if r.Class == kernel.PageFree {
			rest.add(pages.Desc(r), pages.PageSize())
		}
		return true
	})
	rest.merge()
	var out []guestmem.Range[guestmem.GPA]
	pages.Each(func(r kernel.PageRange) bool {
		switch r.Class {
		case kernel.PageFree, kernel.PageUnknown, kernel.PageSpecial, kernel.PageUser:
			return true
		}
		phys := pages.Phys(r)
		rest.rest(pages, r, func(from, to uint64) {
			out = append(out, guestmem.Range[guestmem.GPA]{Start: phys.Start + guestmem.GPA(from), End: phys.Start + guestmem.GPA(to)})
		})
		return true
	})
	return out
}

// guest is what reads a guest's kernel: the live one's, or a frozen one's.
type guest struct {
	mem    *guestmem.AddressSpace
	kernel *kernel.Kernel
}

// on returns the same reader over other memory.
func (g guest) on(phys guestmem.Physical) guest {
	mem := g.mem.WithPhysical(phys)
	return guest{mem, g.kernel.On(mem, phys)}
}
