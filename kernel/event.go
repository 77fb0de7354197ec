package kernel

import (
	"bytes"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// Fetch is one read of guest memory at an event: Size bytes at base+Offset.
// The base is the register Reg, rounded down to a multiple of Align if that is
// not zero; or, with Reg empty and Prev positive, the word that fetch number
// Prev-1 read; or else zero.
type Fetch struct {
	Reg    string
	Prev   int
	Offset uint64
	Size   int
	Align  uint64
}

// EventContext says what to read at an event, to know in which context the
// kernel was, and decodes what was read. It needs no memory: only types,
// symbols and the KASLR slide.
type EventContext struct {
	// Fetches are to be read in order.
	Fetches []Fetch
	// TaskStack reads the lowest address of the current task's stack, each
	// fetch but the first from where the one before points; nil if the types
	// do not say where that is.
	TaskStack []Fetch

	arch                              *arch.Arch
	task, pid, comm, preempt, jiffies int // indices into Fetches; task may be -1
	softirq                           int // likewise; the preempt count but for PREEMPT_RT
}

// Context is what an event's fetches say.
type Context struct {
	Task    guestmem.GVA // the current task_struct; zero where a register has it
	PID     int          // of the thread
	Comm    string
	Preempt uint32 // preempt count, without x86's inverted reschedule bit
	HardIRQ bool   // serving a hardware interrupt
	SoftIRQ bool   // serving a softirq (not: one that is disabled)
	Jiffies uint64 // jiffies_64
}

// Bits of the preempt count, include/linux/preempt.h (unchanged from 3.14 to
// 6.18). The kernel has them as macros, so that no debug information does.
const (
	softirqOffset = 0x0000_0100 // counts softirqs being served
	hardirqMask   = 0x000f_0000
	reschedBit    = 0x8000_0000 // PREEMPT_NEED_RESCHED, x86 and arm64
)

// maxComm bounds task_struct.comm, which is TASK_COMM_LEN (16) bytes.
const maxComm = 16

// NewEventContext returns the reads for the kernel im that runs slide bytes
// above its link address.
func NewEventContext(im *symbols.Image, slide uint64) (*EventContext, error) {
	return newEventContext(imageInfo{im}, slide)
}

func newEventContext(info debugInfo, slide uint64) (*EventContext, error) {
	l := newLayout(info)
	a := info.arch()
	c := &EventContext{arch: a}
	add := func(f Fetch) int {
		c.Fetches = append(c.Fetches, f)
		return len(c.Fetches) - 1
	}

	l.find("task_struct", nearFork...)
	pid, comm := l.need("task_struct", "pid"), l.need("task_struct", "comm")
	l.needSymbol("jiffies_64")
	current, inMemory := Fetch{Reg: a.Linux.PerCPUBase, Size: a.WordSize}, a.Linux.Current == ""
	in := a.Linux.CurrentIn
	if in != nil {
		l.find(in.Struct, nearFork...)
		m := l.need(in.Struct, in.Member)
		current.Reg, current.Offset, current.Align = in.Register, m.Offset, in.Align
	} else if inMemory {
		var ok bool
		if current.Offset, ok = l.perCPU(slide, "current_task", "current_task"); !ok {
			l.missing["per-CPU symbol current_task"] = true
		}
	}
	if err := l.result(); err != nil {
		return nil, err
	}
	of := Fetch{Reg: a.Linux.Current} // of the task
	c.task = -1
	if inMemory {
		if current.Reg == "" && in == nil {
			return nil, fmt.Errorf("%s has neither the current task nor the per-CPU base in a register, so that it cannot be read at an event: %w", a.Name, ErrUnsupported)
		}
		c.task = add(current)
		of.Prev = c.task + 1
	}
	member := func(m member, size uint64) int {
		return add(Fetch{Reg: of.Reg, Prev: of.Prev, Offset: m.Offset, Size: int(min(m.Size, size))})
	}
	c.pid = member(pid, 8)
	c.comm = member(comm, maxComm)
	if off, ok := l.perCPU(slide, "__preempt_count", "preempt_count"); ok && a.Linux.PerCPUBase != "" {
		c.preempt = add(Fetch{Reg: a.Linux.PerCPUBase, Offset: off, Size: 4})
	} else if m, ok := l.opt("task_struct", "thread_info.preempt_count", "thread_info.preempt.count"); ok {
		c.preempt = member(m, 4)
	} else if m, ok := c.preemptIn(l, in); ok {
		c.preempt = add(Fetch{Reg: in.Register, Align: in.Align, Offset: m.Offset, Size: 4})
	} else if m, ok := c.preemptOnStack(l); ok {
		stack := add(Fetch{Reg: of.Reg, Prev: of.Prev, Offset: l.need("task_struct", "stack").Offset, Size: a.WordSize})
		c.preempt = add(Fetch{Prev: stack + 1, Offset: m.Offset, Size: 4})
	} else {
		return nil, &MissingError{Names: []string{"per-CPU symbol __preempt_count"}}
	}
	// With PREEMPT_RT softirqs may be preempted, and each task counts its own
	// (include/linux/preempt.h since 5.12, commit 728b478d2d35).
	c.softirq = c.preempt
	if m, ok := l.opt("task_struct", "softirq_disable_cnt"); ok {
		c.softirq = member(m, 4)
	}
	if m, ok := l.opt("task_struct", "stack"); ok && int(m.Size) == a.WordSize {
		c.TaskStack = []Fetch{{Reg: of.Reg, Offset: m.Offset, Size: a.WordSize}}
		if inMemory {
			c.TaskStack = []Fetch{c.Fetches[c.task], {Prev: 1, Offset: m.Offset, Size: a.WordSize}}
		}
	}
	j, _ := info.symbol("jiffies_64")
	c.jiffies = add(Fetch{Offset: j.Addr + slide, Size: 8})
	return c, nil
}

// preemptIn finds the preempt count beside the current task.
func (c *EventContext) preemptIn(l *layout, in *arch.Member) (member, bool) {
	if in == nil {
		return member{}, false
	}
	return l.opt(in.Struct, "preempt_count")
}

// preemptOnStack finds the preempt count in the thread_info at the lowest
// address of a task's stack.
func (c *EventContext) preemptOnStack(l *layout) (member, bool) {
	if _, ok := l.opt("task_struct", "thread_info"); ok {
		return member{}, false
	}
	l.find("thread_info", nearFork...)
	return l.opt("thread_info", "preempt_count")
}

// Size is the number of bytes that Decode takes: each fetch padded to a
// multiple of 8.
func (c *EventContext) Size() int {
	n := 0
	for _, f := range c.Fetches {
		n += (f.Size + 7) &^ 7
	}
	return n
}

// Decode says what the fetches read: their bytes in guest byte order, each
// padded to a multiple of 8.
func (c *EventContext) Decode(b []byte) (Context, error) {
	if len(b) < c.Size() {
		return Context{}, fmt.Errorf("event context has %d bytes instead of %d", len(b), c.Size())
	}
	part := func(i int) []byte {
		at := 0
		for _, f := range c.Fetches[:i] {
			at += (f.Size + 7) &^ 7
		}
		return b[at : at+c.Fetches[i].Size]
	}
	preempt := uint32(c.arch.Uint(part(c.preempt)))
	var task guestmem.GVA
	if c.task >= 0 {
		task = guestmem.GVA(c.arch.Uint(part(c.task)))
	}
	return Context{
		Task:    task,
		PID:     int(int32(c.arch.Uint(part(c.pid)))),
		Comm:    text(part(c.comm)),
		Preempt: preempt &^ reschedBit,
		HardIRQ: preempt&hardirqMask != 0,
		SoftIRQ: c.arch.Uint(part(c.softirq))&softirqOffset != 0,
		Jiffies: c.arch.Uint(part(c.jiffies)),
	}, nil
}

// Owner returns the pid and comm that kmemleak would note: those of the
// task, or 0 and "hardirq" or "softirq" (mm/kmemleak.c, 6.1).
func (c Context) Owner() (pid int, comm string) {
	switch {
	case c.HardIRQ:
		return 0, "hardirq"
	case c.SoftIRQ:
		return 0, "softirq"
	}
	return c.PID, c.Comm
}

// text returns the bytes up to the first NUL.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
