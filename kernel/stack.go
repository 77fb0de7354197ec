package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// LiveStack is the part of a stack that is in use.
type LiveStack struct {
	Name string // for people: "stack of init[1]", "irq stack of CPU 0"
	Task *Task  // nil for a CPU's stack
	// Range is what is in use, from the stack pointer up, or up to it where the
	// stack grows upward; empty for a task that is in user mode.
	Range guestmem.Range[guestmem.GVA]
	// Whole says that the stack pointer is not known, so that Range is the
	// whole stack.
	Whole bool
}

// maxHops bounds how often one stack interrupts another.
const maxHops = 8

// Stacks returns the live parts of all stacks: of each task from its saved
// stack pointer up, and of the stacks on which the vCPUs are, from theirs,
// back through the stacks that they interrupted to the task's own. regs are
// the vCPUs' registers by arch.Reg name. Where it cannot be told what is in
// use, the whole stack is returned. With an error it returns what it found.
func (k *Kernel) Stacks(tasks []*Task, regs []map[string]uint64) ([]LiveStack, error) {
	cpuStacks, first := k.CPUStacks()
	cpus, err := k.CPUs()
	if first == nil {
		first = err
	}
	s := &stackScan{k: k, tasks: tasks, cpuStacks: cpuStacks, sp: map[guestmem.GVA]guestmem.GVA{}, user: map[int]bool{}, other: map[int]bool{}}
	for i, r := range regs {
		s.vcpu(cpuOf(k.arch, cpus, r, i), r)
	}
	if first == nil {
		first = s.err
	}
	return s.live(), first
}

// stackScan gathers where the vCPUs' stack pointers are.
type stackScan struct {
	k         *Kernel
	tasks     []*Task
	cpuStacks []CPUStack
	out       []LiveStack
	// sp is the innermost stack pointer seen in a stack, by the stack's start.
	sp map[guestmem.GVA]guestmem.GVA
	// user are CPUs in user mode, other those whose stack pointer is in the
	// stack of a task (which need not be the current one, in a switch).
	user, other map[int]bool
	err         error
}

// cpuOf returns the number of the CPU that a vCPU is: by its per-CPU base
// register or, while that holds the user's value, by the register which keeps
// the kernel's meanwhile; as a last resort vCPU i is possible CPU i.
func cpuOf(a *arch.Arch, cpus []CPU, regs map[string]uint64, i int) int {
	base, ok := regs[a.Linux.PerCPUBase]
	for _, c := range cpus {
		if ok && c.Offset == base {
			return c.ID
		}
	}
	for _, v := range regs {
		for _, c := range cpus {
			if c.Offset != 0 && c.Offset == v {
				return c.ID
			}
		}
	}
	if i < len(cpus) {
		return cpus[i].ID
	}
	return -1
}

// vcpu follows one vCPU's stack pointer from stack to stack.
func (s *stackScan) vcpu(cpu int, regs map[string]uint64) {
	sp := guestmem.GVA(s.k.arch.StackPointer(regs))
	pc := regs[s.k.arch.Call.PC]
	if s.k.arch.Linux.UserMode.In(regs) {
		s.user[cpu] = true // and its stack pointer is one of its own addresses
		return
	}
	for range maxHops {
		if t := s.task(sp); t != nil {
			if old, ok := s.sp[t.Stack.Start]; !ok || s.inner(sp, old) {
				s.sp[t.Stack.Start] = sp
			}
			s.other[cpu] = true
			return
		}
		c := s.cpuStack(sp)
		if c == nil {
			break
		}
		s.out = append(s.out, LiveStack{
			Name:  fmt.Sprintf("%s stack of CPU %d", c.Name, c.CPU),
			Range: s.used(c.Range, sp),
		})
		if chain, ok := s.k.frameChain(regs, sp); c.link == 0 && ok {
			next, ok := s.leave(c, sp, chain)
			if !ok {
				return
			}
			sp, pc = next, 0
			continue
		}
		if c.link == 0 || sp > c.link {
			return // a switch to or from this stack is under way
		}
		next, err := s.k.mem.Pointer(c.link)
		if err != nil {
			if s.err == nil {
				s.err = fmt.Errorf("%s stack of CPU %d: %w", c.Name, c.CPU, err)
			}
			return
		}
		sp, pc = next, 0
	}
	if s.k.arch.Linux.UserMode.Register != "" {
		return
	}
	// On no stack of the kernel's: in user mode, if not the program counter
	// says otherwise (the first instructions of a system call).
	if pc < s.k.arch.Linux.Text && !s.k.inKernel(sp) {
		s.user[cpu] = true
	}
}

// frameChain returns where the chain of frames begins of a CPU whose stack
// pointer is sp; ok is false where frames are not chained.
func (k *Kernel) frameChain(regs map[string]uint64, sp guestmem.GVA) (guestmem.GVA, bool) {
	switch {
	case k.arch.Call.FrameRecords:
		return guestmem.GVA(regs[k.arch.Call.FP]), true
	case k.lay.stack.chain.Size > 0:
		return sp, true
	}
	return 0, false
}

// leave follows the frames on a CPU's stack to the first that is not there:
// where the stack pointer was when the stack was switched, about.
func (s *stackScan) leave(c *CPUStack, sp, fp guestmem.GVA) (guestmem.GVA, bool) {
	for c.Range.Contains(fp) {
		if s.inner(fp, sp) {
			return 0, false
		}
		next, err := s.k.mem.Pointer(fp + guestmem.GVA(s.k.lay.stack.chain.Offset))
		if err != nil {
			return 0, false
		}
		sp, fp = s.outward(fp), next+guestmem.GVA(s.k.arch.Call.Bias)
	}
	return fp, fp != 0
}

// used is the part of a stack that is in use with this stack pointer.
func (s *stackScan) used(stack guestmem.Range[guestmem.GVA], sp guestmem.GVA) guestmem.Range[guestmem.GVA] {
	if s.k.arch.Call.StackUp {
		return guestmem.Range[guestmem.GVA]{Start: stack.Start, End: sp}
	}
	return guestmem.Range[guestmem.GVA]{Start: sp, End: stack.End}
}

// inner says whether a is nearer to the end that a stack grows to than b.
func (s *stackScan) inner(a, b guestmem.GVA) bool {
	if s.k.arch.Call.StackUp {
		return a > b
	}
	return a < b
}

// outward is the next address in direction of a stack's first frame.
func (s *stackScan) outward(a guestmem.GVA) guestmem.GVA {
	if s.k.arch.Call.StackUp {
		return a - 1
	}
	return a + 1
}

// inKernel says whether no user's stack can be at an address: it is in the
// upper half of a split address space, or at or above the direct map. Where
// neither is known it may always be the kernel's.
func (k *Kernel) inKernel(a guestmem.GVA) bool {
	if p := k.arch.Paging; p != nil && (p.Canonical || p.High != nil) {
		return int64(a) < 0
	}
	direct, err := k.DirectMap()
	return err != nil || direct == 0 || a >= direct
}

func (s *stackScan) task(sp guestmem.GVA) *Task {
	for _, t := range s.tasks {
		if t.Stack.Contains(sp) || (t.Stack.Size() > 0 && sp == t.Stack.End) {
			return t
		}
	}
	return nil
}

func (s *stackScan) cpuStack(sp guestmem.GVA) *CPUStack {
	for i := range s.cpuStacks {
		if s.cpuStacks[i].Range.Contains(sp) {
			return &s.cpuStacks[i]
		}
	}
	return nil
}

// live decides for each task.
func (s *stackScan) live() []LiveStack {
	out := s.out
	for _, t := range s.tasks {
		if t.Stack.Size() == 0 {
			continue
		}
		l := LiveStack{Name: fmt.Sprintf("stack of %s[%d]", t.Comm, t.PID), Task: t, Range: t.Stack}
		sp, onCPU := s.sp[t.Stack.Start]
		switch {
		case onCPU:
			l.Range = s.used(t.Stack, sp)
		case t.CPU >= 0 && s.user[t.CPU]:
			l.Range.Start = t.Stack.End
		case t.CPU >= 0 && !s.other[t.CPU]:
			l.Whole = true // it runs, but where is not known
		case t.Stack.Contains(t.SavedSP) && s.k.arch.Call.StackUp:
			l.Range.End = min(t.SavedSP+guestmem.GVA(s.k.arch.Linux.SwitchedSize), t.Stack.End)
		case t.Stack.Contains(t.SavedSP):
			l.Range.Start = t.SavedSP
		default:
			l.Whole = true // a task being made, or one that lies
		}
		out = append(out, l)
		if t.Info.Size() > 0 && !l.Whole {
			out = append(out, LiveStack{Name: fmt.Sprintf("registers of %s[%d]", t.Comm, t.PID), Task: t, Range: t.Info})
		}
	}
	return out
}
