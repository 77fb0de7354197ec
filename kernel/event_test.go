package kernel

import (
	"errors"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// fetch does what a backend does at an event.
func (g *guest) fetch(fetches []Fetch, reg uint64) []byte {
	var out []byte
	var words []uint64
	for _, f := range fetches {
		base := uint64(0)
		if f.Reg != "" {
			base = reg
		} else if f.Prev > 0 {
			base = words[f.Prev-1]
		}
		b := make([]byte, f.Size)
		if guestmem.Read(g.mem, guestmem.GVA(base+f.Offset), b) != nil {
			clear(b)
		}
		word := uint64(0)
		if f.Size >= g.a.WordSize {
			word = g.a.Word(b)
		}
		words = append(words, word)
		out = append(out, b...)
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

func TestEventContext(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		c, err := newEventContext(g, g.slide)
		if err != nil {
			t.Fatal(err)
		}
		k := g.kernel()
		cpus, _ := k.CPUs()
		task := g.fresh(g.structs["task_struct"].bytes)
		g.task(task, 4711, "a-name-of-15-ch", 0)
		g.setCurrent(2, task)
		for _, x := range []struct {
			preempt    uint64
			hard, soft bool
			pid        int
			comm       string
		}{
			{0x8000_0000, false, false, 4711, "a-name-of-15-ch"},
			{0x0000_0202, false, false, 4711, "a-name-of-15-ch"}, // softirqs disabled
			{0x8000_0100, false, true, 0, "softirq"},
			{0x0001_0100, true, true, 0, "hardirq"},
		} {
			g.mem.Uint(g.unit(2)+0x18, 4, x.preempt)
			got, err := c.Decode(g.fetch(c.Fetches, cpus[1].Offset))
			if err != nil {
				t.Fatal(err)
			}
			jiffies, _ := k.Jiffies()
			if got.Task != task || got.PID != 4711 || got.Comm != "a-name-of-15-ch" || got.HardIRQ != x.hard || got.SoftIRQ != x.soft || got.Jiffies != jiffies || got.Preempt != uint32(x.preempt)&0x7fff_ffff {
				t.Errorf("%#x: %+v", x.preempt, got)
			}
			if pid, comm := got.Owner(); pid != x.pid || comm != x.comm {
				t.Errorf("%#x: owner %d %q", x.preempt, pid, comm)
			}
		}
		if _, err := c.Decode(make([]byte, c.Size()-1)); err == nil {
			t.Error("too few bytes were decoded")
		}
	})
}

func TestEventContextHot(t *testing.T) {
	each(t, func(t *testing.T, g *guest) { // as in 6.2 to 6.14
		delete(g.syms, "current_task")
		delete(g.syms, "__preempt_count")
		g.def("pcpu_hot", "current_task:w", "preempt_count:4")
		g.perCPUSym("pcpu_hot", 0x40, 64)
		task := g.fresh(g.structs["task_struct"].bytes)
		g.task(task, 7, "hot", 0)
		g.set("pcpu_hot", g.unit(0)+0x40, "current_task", uint64(task))
		g.set("pcpu_hot", g.unit(0)+0x40, "preempt_count", 0x1_0000)
		c, err := newEventContext(g, g.slide)
		if err != nil {
			t.Fatal(err)
		}
		cpus, _ := g.kernel().CPUs()
		got, err := c.Decode(g.fetch(c.Fetches, cpus[0].Offset))
		if err != nil || got.PID != 7 || !got.HardIRQ {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestEventContextRT(t *testing.T) {
	each(t, func(t *testing.T, g *guest) { // as in 5.12 and newer with PREEMPT_RT
		g.def("task_struct", "thread_info:thread_info", "__state:4", "stack:w", "flags:4", "pid:4", "tgid:4", "tasks:list_head", "thread_node:list_head", "mm:w", "signal:w", "comm:16", "thread:thread", "softirq_disable_cnt:4")
		task := g.fresh(g.structs["task_struct"].bytes)
		g.task(task, 28, "ktimers/1", 0)
		g.setCurrent(2, task)
		c, err := newEventContext(g, g.slide)
		if err != nil {
			t.Fatal(err)
		}
		cpus, _ := g.kernel().CPUs()
		for _, x := range []struct {
			preempt, own uint64
			pid          int
			comm         string
		}{
			{0x0000_0100, 0, 28, "ktimers/1"}, // not a count of softirqs here
			{0, 0x0200, 28, "ktimers/1"},      // softirqs disabled
			{0, 0x0100, 0, "softirq"},
			{0x0001_0000, 0x0100, 0, "hardirq"},
		} {
			g.mem.Uint(g.unit(2)+0x18, 4, x.preempt)
			g.set("task_struct", task, "softirq_disable_cnt", x.own)
			got, err := c.Decode(g.fetch(c.Fetches, cpus[1].Offset))
			if err != nil {
				t.Fatal(err)
			}
			if pid, comm := got.Owner(); pid != x.pid || comm != x.comm {
				t.Errorf("%#x and %#x: owner %d %q", x.preempt, x.own, pid, comm)
			}
		}
	})
}

func TestEventContextMissing(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		delete(g.syms, "current_task")
		_, err := newEventContext(g, 0)
		var missing *MissingError
		if !errors.As(err, &missing) {
			t.Errorf("error %v", err)
		}
	})
}

func TestMember(t *testing.T) {
	le, be := fakeArchs()[0], fakeArchs()[1]
	b := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	m := member{symbols.Field{Offset: 2, Size: 4}}
	if v := m.get(le, b); v != 0x06050403 {
		t.Errorf("little-endian %#x", v)
	}
	if v := m.get(be, b); v != 0x03040506 {
		t.Errorf("big-endian %#x", v)
	}
	if v := m.get(le, b[:5]); v != 0 {
		t.Errorf("short %#x", v)
	}
	m.BitOffset, m.BitSize = 8, 12
	if v := m.get(le, b); v != 0x504 {
		t.Errorf("bit field %#x", v)
	}
	m = member{symbols.Field{Offset: ^uint64(0) - 1, Size: 8}}
	if v := m.get(le, b); v != 0 {
		t.Errorf("far away %#x", v)
	}
}
