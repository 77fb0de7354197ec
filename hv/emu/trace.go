package emu

import (
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

const (
	// maxArrayWords bounds the arrays that are copied with an event.
	maxArrayWords = 4096
	// maxFetch is the largest Fetch, in bytes.
	maxFetch = 16
	// maxOpen bounds the calls whose arrays are remembered until their exit.
	maxOpen = 1 << 16
)

// site is what is hooked at one address.
type site struct {
	entries []int // hooks
	exit    *exit
}

type exit struct {
	hook int // -1 for several
	cond *arch.Condition
}

// arrayCall is what is kept from the entry of a function whose array is copied
// at its exit.
type arrayCall struct{ pointer, count uint64 }

type openCall struct {
	hook int
	sp   uint64
}

// tracer turns breaks into events.
type tracer struct {
	plan  *hv.Plan
	sites map[uint64]*site
	stack uint64
	at    []int // where each fetch lies in the context
	size  int
	open  map[openCall]arrayCall
	seq   uint64
	event hv.Event
	buf   []byte
}

// Lost implements hv.Tracer: the guest waits for whoever it tells.
func (m *Machine) Lost() uint64 { return 0 }

// Mechanism implements hv.Tracer.
func (m *Machine) Mechanism() string { return "interpreter" }

// arm takes a plan, and returns the addresses at which to stop.
func (t *tracer) arm(a *arch.Arch, p *hv.Plan) (map[uint64]bool, error) {
	t.sites, t.open = map[uint64]*site{}, map[openCall]arrayCall{}
	for i, f := range p.Context {
		if f.Size < 1 || f.Size > maxFetch || f.Prev < 0 || f.Prev > i || f.Align&(f.Align-1) != 0 {
			return nil, errors.New("emu: the plan's context cannot be read: a fetch is out of bounds")
		}
		if _, ok := a.Reg(f.Reg); !ok && f.Reg != "" {
			return nil, fmt.Errorf("emu: the plan's context names an unknown register: %s", f.Reg)
		}
		t.at = append(t.at, t.size)
		t.size += (f.Size + 7) &^ 7
	}
	t.stack = p.StackSize
	if t.stack == 0 {
		t.stack = a.Linux.StackSize
	}
	if t.stack&(t.stack-1) != 0 {
		return nil, fmt.Errorf("emu: stack size %d is no power of two", t.stack)
	}
	breaks := map[uint64]bool{}
	get := func(at guestmem.GVA) *site {
		s := t.sites[uint64(at)]
		if s == nil {
			s = &site{}
			t.sites[uint64(at)] = s
			breaks[uint64(at)] = true
		}
		return s
	}
	for i := range p.Hooks {
		h := &p.Hooks[i]
		s := get(h.Entry)
		s.entries = append(s.entries, i)
		for _, x := range h.Exits {
			s := get(x.Addr)
			if s.exit == nil {
				s.exit = &exit{i, x.If}
			} else if s.exit.hook != i {
				s.exit.hook = -1
			}
		}
	}
	t.plan = p
	return breaks, nil
}

// reg reads a register that the architecture's row names.
func reg(c *vcpu, name string) uint64 {
	v, _ := c.Register(name)
	return v
}

// tell delivers what happens where vCPU number id stands.
func (m *Machine) tell(h hv.Handler, id int) error {
	t, a, c := &m.trace, m.isa.Arch, &m.cpus[id]
	s := t.sites[c.PC()]
	if s == nil {
		return nil
	}
	for _, i := range s.entries {
		t.entry(a, id, c, i)
		if err := h.Event(&t.event); err != nil {
			return err
		}
	}
	x := s.exit
	if x == nil || x.cond != nil && x.cond.Taken>>(reg(c, x.cond.Register)>>x.cond.Shift&15)&1 == 0 {
		return nil
	}
	// The instruction that leaves may make the result, and restore the stack
	// pointer.
	pc := c.PC()
	if _, err := c.Run(1, true); err != nil {
		return m.ended(id, err)
	}
	c.over = false
	t.exit(a, id, c, x)
	t.event.PC = guestmem.GVA(pc)
	return h.Event(&t.event)
}

// begin starts an event.
func (t *tracer) begin(kind hv.Kind, hook, id int, c *vcpu) *hv.Event {
	t.buf = t.buf[:0]
	t.event = hv.Event{Kind: kind, Hook: hook, VCPU: id, Seq: t.seq, PC: guestmem.GVA(c.PC())}
	t.seq++
	return &t.event
}

// take returns n zero bytes that are valid until the next event.
func (t *tracer) take(n int) []byte {
	at := len(t.buf)
	if at+n > cap(t.buf) {
		t.buf = make([]byte, 0, 2*(at+n)) // slices of the old one stay valid
		at = 0
	}
	t.buf = t.buf[:at+n]
	b := t.buf[at : at+n : at+n]
	clear(b)
	return b
}

func (t *tracer) entry(a *arch.Arch, id int, c *vcpu, hook int) {
	h := &t.plan.Hooks[hook]
	ev := t.begin(hv.Entry, hook, id, c)
	sp := reg(c, a.Call.SP)
	ev.SP, ev.FP = guestmem.GVA(sp), reg(c, a.Call.FP)
	mem := guestmem.Reader{Memory: c.Memory(), Arch: a}
	for i := range ev.Args {
		if i < len(a.Call.Args) {
			ev.Args[i] = reg(c, a.Call.Args[i])
		} else if n := i - len(a.Call.Args); n < a.Call.Stack.Count {
			ev.Args[i], _ = mem.Word(guestmem.GVA(sp + uint64(a.Call.Stack.Offset+n*a.WordSize)))
		}
	}
	if a.Call.Link != "" {
		ev.Return = guestmem.GVA(reg(c, a.Call.Link))
	} else {
		ev.Return, _ = mem.Pointer(ev.SP)
	}
	if t.size > 0 {
		ev.Context = t.take(t.size)
		t.fetch(a, c, ev.Context)
	}
	if n := uint64(max(h.StackBytes, 0)); n > 0 && a.Call.StackUp {
		ev.Stack = t.stackBelow(mem, sp, n)
	} else if n > 0 {
		if t.stack > 0 {
			n = min(n, t.stack-sp&(t.stack-1))
		}
		b := t.take(int(n))
		ev.Stack = b[:readSome(mem, ev.SP, b)]
	}
	switch array := h.Array; array.When {
	case hv.ArrayAtEntry:
		t.array(mem, argument(ev, array.Pointer), argument(ev, array.Count))
	case hv.ArrayAtExit:
		if len(t.open) < maxOpen {
			t.open[openCall{hook, sp}] = arrayCall{argument(ev, array.Pointer), argument(ev, array.Count)}
		}
	}
}

// stackBelow copies up to n bytes of a stack that grows upward.
func (t *tracer) stackBelow(mem guestmem.Memory, sp, n uint64) []byte {
	if t.stack > 0 {
		n = min(n, sp&(t.stack-1))
	}
	b := t.take(int(min(n, sp)))
	start := guestmem.GVA(sp - uint64(len(b)))
	if guestmem.Read(mem, start, b) != nil {
		return nil
	}
	return b
}

func (t *tracer) exit(a *arch.Arch, id int, c *vcpu, x *exit) {
	ev := t.begin(hv.Exit, x.hook, id, c)
	sp := reg(c, a.Call.SP)
	ev.SP, ev.Result = guestmem.GVA(sp), reg(c, a.Call.Result)
	if len(t.open) == 0 {
		return
	}
	for i := range t.plan.Hooks {
		if t.plan.Hooks[i].Array.When != hv.ArrayAtExit || x.hook >= 0 && x.hook != i {
			continue
		}
		key := openCall{i, sp}
		if call, ok := t.open[key]; ok {
			delete(t.open, key)
			t.array(guestmem.Reader{Memory: c.Memory(), Arch: a}, call.pointer, min(call.count, ev.Result))
		}
	}
}

// fetch fills the context.
func (t *tracer) fetch(a *arch.Arch, c *vcpu, out []byte) {
	for i, f := range t.plan.Context {
		base := uint64(0)
		switch {
		case f.Reg != "":
			base = reg(c, f.Reg)
			if f.Align > 0 {
				base &^= f.Align - 1
			}
		case f.Prev > 0:
			if base = a.Word(out[t.at[f.Prev-1]:]); base == 0 {
				continue
			}
		}
		dst := out[t.at[i] : t.at[i]+f.Size]
		if guestmem.Read(c.Memory(), guestmem.GVA(base+f.Offset), dst) != nil {
			clear(dst)
		}
	}
}

func argument(ev *hv.Event, n int) uint64 {
	if n < 0 || n >= len(ev.Args) {
		return 0
	}
	return ev.Args[n]
}

// array copies count words.
func (t *tracer) array(mem guestmem.Reader, pointer, count uint64) {
	word := mem.Arch.WordSize
	b := t.take(int(min(count, maxArrayWords)) * word)
	n := readSome(mem, guestmem.GVA(pointer), b)
	n -= n % word
	t.event.ArrayShort = count > maxArrayWords || n < len(b)
	t.event.Array = b[:n]
}

// readSome fills b as far as memory can be read.
func readSome(m guestmem.Memory, gva guestmem.GVA, b []byte) (n int) {
	for n < len(b) {
		v, err := m.View(gva+guestmem.GVA(n), len(b)-n)
		if err != nil || len(v) == 0 {
			break
		}
		n += copy(b[n:], v)
	}
	return n
}
