package kernel

import "testing"

// TestThreadInfoOnStack: a kernel whose tasks have their thread_info, with the
// registers of those that do not run, at the lowest address of the stack.
func TestThreadInfoOnStack(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		g.def("cpu_context", "r1:w", "r19:w")
		g.def("thread_info", "task:w", "preempt_count:4", "cpu_context:cpu_context")
		g.def("task_struct", "__state:4", "stack:w", "flags:4", "pid:4", "tgid:4", "tasks:list_head", "thread_node:list_head", "mm:w", "signal:w", "comm:16", "thread:thread")
		row := *g.a
		row.Linux.SwitchedSP, row.Linux.Current = "thread_info.cpu_context.r1", "current"
		g.a = &row
		delete(g.syms, "__preempt_count")
		task := g.fresh(g.structs["task_struct"].bytes)
		g.task(task, 4711, "some", 0)
		stack := g.fresh(8192)
		g.set("task_struct", task, "stack", uint64(stack))
		g.set("thread_info", stack, "preempt_count", 0x100)
		g.set("thread_info", stack, "cpu_context.r1", uint64(stack)+0x1800)

		c, err := newEventContext(g, g.slide)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Decode(g.fetch(c.Fetches, uint64(task)))
		if err != nil || got.PID != 4711 || !got.SoftIRQ || got.HardIRQ {
			t.Errorf("%+v, %v", got, err)
		}

		k := g.kernel()
		read, err := k.Task(task)
		if err != nil || read.SavedSP != stack+0x1800 || read.Info != from(stack, g.structs["thread_info"].bytes) {
			t.Fatalf("%+v, %v", read, err)
		}
		row.Call.Bias = 0x7f
		if biased, err := k.Task(task); err != nil || biased.SavedSP != stack+0x1800+0x7f {
			t.Errorf("%+v, %v", biased, err)
		}
		row.Call.Bias = 0
		live, _ := k.Stacks([]*Task{read}, nil)
		if len(live) != 2 || live[0].Range.Start != read.SavedSP || live[1].Range != read.Info {
			t.Errorf("stacks %+v", live)
		}
	})
}
