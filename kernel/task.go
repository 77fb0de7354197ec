package kernel

import (
	"fmt"
	"strings"

	"github.com/leakvisor/leakvisor/guestmem"
)

// maxTasks bounds the number of threads. (The kernel's own limit,
// PID_MAX_LIMIT, is 4 Mi, far above what a guest has.)
const maxTasks = 1 << 18

// pfKthread is PF_KTHREAD, include/linux/sched.h (2.6.27 to 6.18); a macro,
// so that no debug information has it.
const pfKthread = 0x0020_0000

// Task is one thread.
type Task struct {
	Addr    guestmem.GVA // of the task_struct
	PID     int          // of the thread; 0 for a CPU's idle task
	TGID    int
	Comm    string
	State   uint64 // __state: TASK_* bits, 0 while runnable
	Kthread bool   // has no user mode
	Idle    bool
	// Stack is the whole kernel stack; empty when it has been released.
	Stack guestmem.Range[guestmem.GVA]
	// SavedSP is where the task's stack ended when it was last switched
	// away from: of no meaning while it runs.
	SavedSP guestmem.GVA
	// Info is the thread_info at the stack's lowest address where that has the
	// registers of a task that does not run; else empty.
	Info guestmem.Range[guestmem.GVA]
	// CPU is the number of the CPU whose current task it is, else -1.
	CPU int
}

type taskLayout struct {
	pid, tgid, comm, state, flags, stack, sp, tasks member
	mm, pgd                                         member // optional
	threadHead, threadNode                          member // since 3.14
	signal                                          member
	threadGroup                                     member // before 6.7
	rqIdle                                          member
	// Of thread_info at a stack's lowest address, where sp is in it.
	info uint64
}

func newTaskLayout(l *layout) taskLayout {
	l.find("task_struct", nearFork...)
	l.find("signal_struct", nearFork...)
	l.find("mm_struct", nearFork...)
	t := taskLayout{
		pid:   l.need("task_struct", "pid"),
		tgid:  l.need("task_struct", "tgid"),
		comm:  l.need("task_struct", "comm"),
		state: l.need("task_struct", "__state", "state"), // renamed in 5.14
		flags: l.need("task_struct", "flags"),
		stack: l.need("task_struct", "stack"),
		tasks: l.need("task_struct", "tasks"),
	}
	if path := l.info.arch().Linux.SwitchedSP; path != "" {
		in, inInfo := strings.CutPrefix(path, "thread_info.")
		if _, ok := l.opt("task_struct", "thread_info"); inInfo && !ok {
			t.info = l.size("thread_info", nearFork...)
			t.sp = l.need("thread_info", in)
		} else {
			t.sp = l.need("task_struct", path)
		}
	}
	t.mm, _ = l.opt("task_struct", "mm")
	t.pgd, _ = l.opt("mm_struct", "pgd")
	var ok1, ok2 bool
	t.threadHead, ok1 = l.opt("signal_struct", "thread_head")
	t.threadNode, ok2 = l.opt("task_struct", "thread_node")
	if ok1 && ok2 {
		t.signal = l.need("task_struct", "signal")
	} else {
		t.threadGroup = l.need("task_struct", "thread_group")
	}
	l.needSymbol("init_task")
	if !l.has("idle_threads") && l.has("runqueues") {
		l.find("rq", nearSched...)
		t.rqIdle, _ = l.opt("rq", "idle")
	}
	return t
}

// Task reads the task_struct at addr; its CPU is not known.
func (k *Kernel) Task(addr guestmem.GVA) (*Task, error) {
	lay := &k.lay.task
	r := k.at(addr)
	t := &Task{
		Addr:    addr,
		PID:     int(int32(r.get(lay.pid))),
		TGID:    int(int32(r.get(lay.tgid))),
		Comm:    r.text(lay.comm),
		State:   r.get(lay.state),
		Kthread: r.get(lay.flags)&pfKthread != 0,
		CPU:     -1,
	}
	base := r.ptr(lay.stack)
	if lay.info == 0 {
		t.SavedSP = r.ptr(lay.sp)
	} else if info := k.at(base); base != 0 {
		t.SavedSP = info.ptr(lay.sp)
		t.Info = from(base, lay.info)
		if r.err == nil {
			r.err = info.err
		}
	}
	t.SavedSP += guestmem.GVA(k.arch.Call.Bias)
	if r.err != nil {
		return nil, fmt.Errorf("task at %#x: %w", uint64(addr), r.err)
	}
	if base != 0 && uint64(base)+k.lay.stack.size > uint64(base) {
		t.Stack = guestmem.Range[guestmem.GVA]{Start: base, End: base + guestmem.GVA(k.lay.stack.size)}
	}
	return t, nil
}

// Tasks returns all threads: the idle tasks, those on the task list with
// their threads, and what runs on a CPU without being on the list any more
// (a task in its last schedule). With an error it returns those found.
func (k *Kernel) Tasks() ([]*Task, error) {
	w := &taskWalk{k: k, seen: map[guestmem.GVA]*Task{}, left: 4 * maxTasks}
	cpus, err := k.CPUs()
	w.note(err)
	init, _ := k.Addr("init_task")
	w.add(init, true)
	for _, c := range cpus {
		idle, err := k.idleTask(c)
		w.note(err)
		w.add(idle, true)
	}
	lay := &k.lay.task
	w.note(k.list(init+guestmem.GVA(lay.tasks.Offset), maxTasks, func(node guestmem.GVA) bool {
		leader := node - guestmem.GVA(lay.tasks.Offset)
		w.add(leader, false)
		w.threads(leader)
		return w.step()
	}))
	for _, c := range cpus {
		current, err := k.CurrentTask(c)
		w.note(err)
		w.add(current, false)
		if t := w.seen[current]; t != nil {
			t.CPU = c.ID
		}
	}
	return w.out, w.err
}

type taskWalk struct {
	k    *Kernel
	seen map[guestmem.GVA]*Task
	out  []*Task
	left int   // list nodes that may still be visited
	err  error // the first
}

func (w *taskWalk) note(err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("tasks: %w", err)
	}
}

// step says whether the walk may go on.
func (w *taskWalk) step() bool {
	if w.left--; w.left > 0 && len(w.out) < maxTasks {
		return true
	}
	w.note(inconsistent("there are more than %d", maxTasks))
	return false
}

func (w *taskWalk) add(addr guestmem.GVA, idle bool) {
	if addr == 0 || w.seen[addr] != nil {
		return
	}
	t, err := w.k.Task(addr)
	if err != nil {
		w.note(err)
		return
	}
	t.Idle = idle
	w.seen[addr] = t
	w.out = append(w.out, t)
}

// threads adds the threads of a process by its leader.
func (w *taskWalk) threads(leader guestmem.GVA) {
	k, lay := w.k, &w.k.lay.task
	head, link := leader+guestmem.GVA(lay.threadGroup.Offset), lay.threadGroup
	if lay.signal.Size != 0 {
		sig, err := k.mem.Pointer(leader + guestmem.GVA(lay.signal.Offset))
		if err != nil || sig == 0 {
			w.note(err) // none: the leader is being released
			return
		}
		head, link = sig+guestmem.GVA(lay.threadHead.Offset), lay.threadNode
	}
	w.note(k.list(head, maxTasks, func(node guestmem.GVA) bool {
		w.add(node-guestmem.GVA(link.Offset), false)
		return w.step()
	}))
}

// idleTask returns the address of a CPU's idle task, zero if it has none.
func (k *Kernel) idleTask(c CPU) (guestmem.GVA, error) {
	ptr, ok := k.PerCPU("idle_threads")
	if !ok {
		if k.lay.task.rqIdle.Size == 0 {
			return 0, nil
		}
		ptr, ok = k.PerCPU("runqueues")
		if !ok {
			return 0, nil
		}
		ptr += k.lay.task.rqIdle.Offset
	}
	v, err := k.perCPUWord(c, ptr)
	if err != nil {
		return 0, fmt.Errorf("idle task of CPU %d: %w", c.ID, err)
	}
	return guestmem.GVA(v), nil
}

// CurrentTask returns the address of the task_struct that runs on a CPU.
func (k *Kernel) CurrentTask(c CPU) (guestmem.GVA, error) {
	if !k.lay.stack.hasCurrent {
		return 0, fmt.Errorf("current task of a CPU: %w", ErrUnsupported)
	}
	v, err := k.perCPUWord(c, k.lay.stack.current)
	if err != nil {
		return 0, fmt.Errorf("current task of CPU %d: %w", c.ID, err)
	}
	return guestmem.GVA(v), nil
}
