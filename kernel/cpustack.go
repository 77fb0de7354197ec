package kernel

import (
	"fmt"
	"strings"

	"github.com/leakvisor/leakvisor/guestmem"
)

// CPUStack is a stack that belongs to a CPU and not to a task.
type CPUStack struct {
	CPU  int
	Name string // "irq", "NMI", "entry", …
	// Range is where the stack pointer is while the stack is in use.
	Range guestmem.Range[guestmem.GVA]
	// Backing is the same memory in the per-CPU area; empty if there is no
	// second mapping.
	Backing guestmem.Range[guestmem.GVA]
	// link is where the interrupted stack pointer is kept, zero if unknown.
	link guestmem.GVA
}

type stackLayout struct {
	size       uint64 // of a task's stack
	current    uint64 // per-CPU pointer of the current task
	hasCurrent bool
	irqPtr     uint64 // per-CPU pointer of hardirq_stack_ptr
	hasIRQ     bool
	irqSize    uint64
	irqs       []irqStack
	exceptions []exceptionStack
	chain      member // link of one frame to the next, from the stack pointer
	entry      member // cpu_entry_area.entry_stack_page.stack
	estacks    member // cpu_entry_area.estacks
	vmAddr     member // vm_struct.addr
}

// irqStack is where a pointer to an interrupt stack is: per-CPU, or in an
// array by CPU.
type irqStack struct {
	ptr         uint64
	perCPU, top bool
	size, link  uint64
	member      member // of what ptr points to; without one that is the stack
}

// exceptionStack is one member of the exception stacks, in the mapped and in
// the backing layout.
type exceptionStack struct {
	name            string
	mapped, backing member
}

// exceptionNames are the members of struct exception_stacks and
// cea_exception_stacks, arch/x86/include/asm/cpu_entry_area.h (5.2 to 6.18);
// older kernels have them elsewhere.
var exceptionNames = [...]string{"DF_stack", "NMI_stack", "DB_stack", "MCE_stack", "VC_stack", "VC2_stack"}

func newStackLayout(l *layout, slide uint64) stackLayout {
	s := stackLayout{size: taskStackSize(l)}
	if s.size == 0 {
		l.missing["the size of a kernel stack (union thread_union)"] = true
	}
	s.current, s.hasCurrent = l.perCPU(slide, "current_task", "current_task")
	if !s.hasCurrent {
		// The scheduler's own idea, which is right but within a switch.
		l.find("rq", nearSched...)
		m, ok := l.opt("rq", "curr")
		rq, ok2 := l.perCPU(slide, "runqueues", "")
		s.current, s.hasCurrent = rq+m.Offset, ok && ok2
	}
	for _, row := range l.info.arch().Linux.IRQStacks {
		sym, ok := l.info.symbol(row.Symbol)
		if !ok {
			continue
		}
		irq := irqStack{top: row.Top, size: row.Size, link: row.Link}
		if irq.size == 0 {
			irq.size = s.size
		}
		if start, ok := l.info.symbol("__per_cpu_start"); ok && sym.Addr >= start.Addr {
			end, _ := l.info.symbol("__per_cpu_end")
			irq.perCPU = sym.Addr < end.Addr
		}
		irq.ptr = sym.Addr + slide
		if irq.perCPU {
			irq.ptr = sym.Addr + perCPUSlide(l.info, slide)
		}
		if row.Struct != "" {
			l.find(row.Struct, nearFork...)
			irq.member = l.need(row.Struct, row.Member)
		}
		s.irqs = append(s.irqs, irq)
	}
	s.vmAddr, _ = l.opt("vm_struct", "addr")
	if b := l.info.arch().Call.BackChain; b != nil && b.Frame == "" {
		s.chain.Offset, s.chain.Size = b.ChainAt, uint64(l.info.arch().WordSize)
	} else if b != nil {
		l.find(b.Frame, nearFork...)
		s.chain = l.need(b.Frame, b.Chain)
	}
	// x86-64: hardirq_stack_ptr is the top of the stack. (32-bit x86 has a
	// pointer to struct irq_stack under the same name, and irq_stack_backing_store
	// only on 64 bits.)
	if store, ok := l.info.symbol("irq_stack_backing_store"); ok {
		s.irqPtr, s.hasIRQ = l.perCPU(slide, "hardirq_stack_ptr", "hardirq_stack_ptr")
		s.irqSize = store.Size
	}
	if l.has("cea_exception_stacks") && l.find("cea_exception_stacks", "setup_cpu_entry_areas") != nil &&
		l.find("exception_stacks", "setup_cpu_entry_areas") != nil {
		for _, n := range exceptionNames {
			m, ok1 := l.opt("cea_exception_stacks", n)
			b, ok2 := l.opt("exception_stacks", n)
			if ok1 && ok2 {
				s.exceptions = append(s.exceptions, exceptionStack{strings.TrimSuffix(n, "_stack"), m, b})
			}
		}
		l.find("cpu_entry_area", "setup_cpu_entry_areas")
		s.entry, _ = l.opt("cpu_entry_area", "entry_stack_page")
		s.estacks, _ = l.opt("cpu_entry_area", "estacks")
	}
	return s
}

// taskStackSize returns THREAD_SIZE, from wherever this kernel says it.
func taskStackSize(l *layout) uint64 {
	// The linker script's room for the first task's stack
	// (INIT_TASK_DATA, include/asm-generic/vmlinux.lds.h; renamed in 6.10).
	for _, n := range [][2]string{{"__start_init_stack", "__end_init_stack"}, {"__start_init_task", "__end_init_task"}} {
		start, ok1 := l.info.symbol(n[0])
		end, ok2 := l.info.symbol(n[1])
		if ok1 && ok2 && end.Addr > start.Addr {
			return end.Addr - start.Addr
		}
	}
	if n := l.info.arch().Linux.StackSize; n > 0 {
		return n
	}
	if s := l.find("thread_union", nearFork...); s != nil {
		return s.size()
	}
	return 0
}

// CPUStacks returns the stacks of all possible CPUs: interrupt, exception and
// entry stacks, as far as this kernel's are known.
func (k *Kernel) CPUStacks() ([]CPUStack, error) {
	cpus, err := k.CPUs()
	if err != nil {
		return nil, err
	}
	lay := &k.lay.stack
	w := guestmem.GVA(k.arch.WordSize)
	var out []CPUStack
	for _, c := range cpus {
		if lay.hasIRQ {
			ptr, err := k.perCPUWord(c, lay.irqPtr)
			if err != nil {
				return out, fmt.Errorf("interrupt stack of CPU %d: %w", c.ID, err)
			}
			if ptr != 0 { // a CPU that never came up has none
				// hardirq_stack_ptr is 8 below the top; the word there is
				// where the old stack pointer goes (arch/x86/kernel/irq_64.c
				// and asm/irq_stack.h, since 5.8; the top itself before).
				top := (guestmem.GVA(ptr) + w) &^ (w - 1)
				top = guestmem.GVA(roundUp(uint64(top), k.pageSize()))
				s := CPUStack{CPU: c.ID, Name: "irq", Range: below(top, lay.irqSize), Backing: k.backing(c, "irq_stack_backing_store")}
				if guestmem.GVA(ptr) < top {
					s.link = guestmem.GVA(ptr)
				}
				out = append(out, s)
			}
		}
		for _, irq := range lay.irqs {
			v, err := k.irqStack(c, irq)
			if err != nil {
				return out, fmt.Errorf("interrupt stack of CPU %d: %w", c.ID, err)
			}
			if v == 0 {
				continue
			}
			r := from(guestmem.GVA(v), irq.size)
			if irq.top {
				r = below(guestmem.GVA(roundUp(v, irq.size)), irq.size)
			}
			s := CPUStack{CPU: c.ID, Name: "irq", Range: r}
			if irq.link > 0 {
				s.link = r.End - guestmem.GVA(irq.link)
			}
			out = append(out, s)
		}
		more, err := k.exceptionStacks(c)
		out = append(out, more...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// irqStack reads the pointer to a CPU's interrupt stack, zero for none.
func (k *Kernel) irqStack(c CPU, irq irqStack) (uint64, error) {
	at := c.Addr(irq.ptr)
	if !irq.perCPU {
		at = guestmem.GVA(irq.ptr + uint64(c.ID*k.arch.WordSize))
	}
	v, err := k.mem.Word(at)
	if err != nil || v == 0 || irq.member.Size == 0 {
		return v, err
	}
	r := k.at(guestmem.GVA(v))
	v = r.get(irq.member)
	return v, r.err
}

func (k *Kernel) exceptionStacks(c CPU) ([]CPUStack, error) {
	lay := &k.lay.stack
	ptr, ok := k.PerCPU("cea_exception_stacks")
	if !ok || len(lay.exceptions) == 0 {
		return nil, nil
	}
	v, err := k.perCPUWord(c, ptr)
	if err != nil {
		return nil, fmt.Errorf("exception stacks of CPU %d: %w", c.ID, err)
	}
	base := guestmem.GVA(v)
	if base == 0 {
		return nil, nil
	}
	backing := k.backing(c, "exception_stacks")
	var out []CPUStack
	for _, e := range lay.exceptions {
		if e.mapped.Size == 0 || e.mapped.Size != e.backing.Size {
			continue
		}
		s := CPUStack{CPU: c.ID, Name: e.name, Range: from(base+guestmem.GVA(e.mapped.Offset), e.mapped.Size)}
		if backing.Size() > 0 {
			s.Backing = from(backing.Start+guestmem.GVA(e.backing.Offset), e.backing.Size)
		}
		// The CPU pushes SS, SP, FLAGS, CS and IP, from the top down.
		s.link = s.Range.End - guestmem.GVA(2*k.arch.WordSize)
		out = append(out, s)
	}
	if lay.entry.Size > 0 && lay.estacks.Offset > 0 {
		area := base - guestmem.GVA(lay.estacks.Offset)
		s := CPUStack{CPU: c.ID, Name: "entry",
			Range:   from(area+guestmem.GVA(lay.entry.Offset), lay.entry.Size),
			Backing: k.backing(c, "entry_stack_storage")}
		// Only what interrupts user mode starts here, in the same way.
		s.link = s.Range.End - guestmem.GVA(2*k.arch.WordSize)
		out = append(out, s)
	}
	return out, nil
}

// backing returns where a CPU's copy of a per-CPU variable is.
func (k *Kernel) backing(c CPU, symbol string) guestmem.Range[guestmem.GVA] {
	s, ok := k.info.symbol(symbol)
	if !ok {
		return guestmem.Range[guestmem.GVA]{}
	}
	return from(c.Addr(s.Addr+k.perCPUSlide), s.Size)
}

// CachedStacks returns the stacks of tasks that are gone, which each CPU
// keeps for the next fork (kernel/fork.c, cached_stacks): dead memory.
func (k *Kernel) CachedStacks() ([]guestmem.Range[guestmem.GVA], error) {
	s, ok := k.info.symbol("cached_stacks")
	lay := &k.lay.stack
	if !ok || lay.vmAddr.Size == 0 {
		return nil, nil
	}
	cpus, err := k.CPUs()
	if err != nil {
		return nil, err
	}
	w := uint64(k.arch.WordSize)
	var out []guestmem.Range[guestmem.GVA]
	for _, c := range cpus {
		for i := range min(s.Size/w, 16) {
			vm, err := k.perCPUWord(c, s.Addr+k.perCPUSlide+i*w)
			if err != nil {
				return out, fmt.Errorf("cached stacks of CPU %d: %w", c.ID, err)
			}
			if vm == 0 {
				continue
			}
			addr, err := k.mem.Pointer(guestmem.GVA(vm + lay.vmAddr.Offset))
			if err != nil {
				return out, fmt.Errorf("cached stack of CPU %d: %w", c.ID, err)
			}
			out = append(out, from(addr, lay.size))
		}
	}
	return out, nil
}

func from(start guestmem.GVA, size uint64) guestmem.Range[guestmem.GVA] {
	return guestmem.Range[guestmem.GVA]{Start: start, End: start + guestmem.GVA(size)}
}

func below(end guestmem.GVA, size uint64) guestmem.Range[guestmem.GVA] {
	return guestmem.Range[guestmem.GVA]{Start: end - guestmem.GVA(size), End: end}
}

func roundUp(v, unit uint64) uint64 { return (v + unit - 1) &^ (unit - 1) }
