package kvm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// siteBytes is how much of the text at a site is kept: a trap's displaced
// instructions, at most two of 15 bytes.
const siteBytes = 32

// What an exit site's events say, besides hook numbers.
const (
	exitShared = -1
	exitNone   = -2
)

// passing is one hook whose function is entered at a site.
type passing struct {
	hook  int
	entry guestmem.GVA
}

// site is one address with a trap. It is immutable once it is in a siteMap.
type site struct {
	at      uint64 // of the trap
	text    hostText
	orig    []byte // what the guest has there
	armed   []byte // what is there instead; as long as the trap
	ops     []op   // what orig's first instructions do
	step    bool   // they must be stepped
	length  uint64 // of the displaced instructions
	entries []passing
	exit    int
	atExit  []int        // hooks whose array is to be copied at this exit
	patcher guestmem.GVA // zero for none
}

// siteMap holds all sites by address. It is replaced as a whole.
type siteMap map[uint64]*site

// hostText is guest text as the host sees it: at most two pieces, since it may
// cross a page.
type hostText struct{ a, b []byte }

func (t hostText) size() int { return len(t.a) + len(t.b) }

func (t hostText) read(n int) []byte {
	out := make([]byte, 0, n)
	out = append(out, t.a[:min(n, len(t.a))]...)
	return append(out, t.b[:n-len(out)]...)
}

func (t hostText) write(b []byte) {
	n := copy(t.a, b)
	copy(t.b, b[n:])
}

// lookup finds up to n bytes of text at gva.
func (r *ram) lookup(space *guestmem.AddressSpace, gva guestmem.GVA, n int) (hostText, error) {
	var t hostText
	for _, piece := range []*[]byte{&t.a, &t.b} {
		gpa, left, err := space.Translate(gva)
		if err != nil {
			if t.size() > 0 {
				break // the text ends here
			}
			return t, err
		}
		size := min(n-t.size(), int(min(left, pageSize-uint64(gva)%pageSize)))
		b := r.at(gpa, size)
		if b == nil {
			return t, &guestmem.AddressError{Addr: uint64(gva), Reason: "its memory is none of the guest's RAM"}
		}
		*piece = b
		gva += guestmem.GVA(size)
		if t.size() == n {
			break
		}
	}
	return t, nil
}

// planner turns a plan into sites.
type planner struct {
	plan  *hv.Plan
	ram   *ram
	space *guestmem.AddressSpace
	trap  TrapKind
	// gone are functions whose memory the guest has given back (the kernel's
	// init text), by entry; again says that all had been there once.
	gone  map[uint64]bool
	again bool
	// stubs makes ring probes where it can; nil for none.
	stubs *stubSet
}

// sites lists where traps must be and what they mean; the guest's text must be
// its own. doneWith says which patchers have run.
func (p *planner) sites(doneWith map[guestmem.GVA]bool) (siteMap, error) {
	m := siteMap{}
	get := func(at guestmem.GVA) (*site, error) {
		if s := m[uint64(at)]; s != nil {
			return s, nil
		}
		s := &site{at: uint64(at), exit: exitNone}
		var err error
		if s.text, err = p.ram.lookup(p.space, at, siteBytes); err != nil {
			return nil, err
		}
		s.orig = s.text.read(s.text.size())
		m[s.at] = s
		return s, nil
	}
	for i := range p.plan.Hooks {
		h := &p.plan.Hooks[i]
		slot, err := p.slot(h.Entry)
		if p.again && (errors.Is(err, guestmem.ErrUnreadable) || p.gone[uint64(h.Entry)]) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("kvm: hooking %s: %w", h.Name, err)
		}
		s, err := get(slot)
		if err != nil {
			return nil, fmt.Errorf("kvm: hooking %s: %w", h.Name, err)
		}
		s.entries = append(s.entries, passing{i, h.Entry})
		for _, exit := range h.Exits {
			x := exit.Addr
			s, err := get(x)
			if err != nil {
				return nil, fmt.Errorf("kvm: hooking the exit of %s at %#x: %w", h.Name, uint64(x), err)
			}
			if s.exit == exitNone {
				s.exit = i
			} else if s.exit != i {
				s.exit = exitShared
			}
			if h.Array.When == hv.ArrayAtExit {
				s.atExit = append(s.atExit, i)
			}
		}
	}
	for _, gva := range p.plan.Patchers {
		if doneWith[gva] {
			continue
		}
		var s *site
		slot, err := p.slot(gva)
		if err == nil {
			s, err = get(slot)
		}
		if err != nil {
			return nil, fmt.Errorf("kvm: watching the text's patcher at %#x: %w", uint64(gva), err)
		}
		s.patcher = gva
	}
	return m, p.check(m)
}

// slot is where a function's entry is hooked: at the nop where function
// tracing may enter it; while that is still a call that the guest will look
// at, right behind it; else at the first instruction.
func (p *planner) slot(entry guestmem.GVA) (guestmem.GVA, error) {
	t, err := p.ram.lookup(p.space, entry, siteBytes)
	if err != nil {
		return 0, err
	}
	code := t.read(t.size())
	at := 0
	if o, err := decodeOp(code); err == nil && o.kind == opNop && o.len == 4 {
		at = 4 // endbr64, which the guest may look at as well
	}
	if isCall(code[at:]) {
		at += 5
	}
	return entry + guestmem.GVA(at), nil
}

// check decodes what the traps displace and makes sure that they fit.
func (p *planner) check(m siteMap) error {
	trap := p.trap.code()
	order := make([]*site, 0, len(m))
	for _, s := range m {
		order = append(order, s)
		if err := s.decode(trap); err != nil {
			return fmt.Errorf("kvm: the trap at %#x: %w", s.at, err)
		}
	}
	sort.Slice(order, func(i, j int) bool { return order[i].at < order[j].at })
	for i, s := range order {
		next := uint64(math.MaxUint64)
		if i+1 < len(order) {
			next = order[i+1].at
		}
		if next-s.at < uint64(len(trap)) {
			return fmt.Errorf("kvm: the traps at %#x and %#x overlap", s.at, next)
		}
		if p.stubs != nil {
			if err := p.stubs.add(s, p.plan.Hooks, next); err != nil {
				return fmt.Errorf("kvm: %w", err)
			}
		}
	}
	watched := 0
	for _, s := range order {
		if len(s.armed) == 0 {
			watched++
		}
	}
	if watched > 4 {
		return fmt.Errorf("kvm: %w: only hardware breakpoints work on this host, and %d addresses are to be watched; 4 can be", ErrUnsupported, watched)
	}
	return nil
}

// decode finds the instructions that the trap displaces.
func (s *site) decode(trap []byte) error {
	s.armed, s.ops, s.step, s.length = trap, nil, false, 0
	for s.length < max(1, uint64(len(trap))) {
		rest := s.orig[s.length:]
		if len(rest) == 0 {
			return errors.New("the text ends there")
		}
		if n := len(s.ops); n > 0 && (s.ops[n-1].kind == opReturn || s.ops[n-1].kind == opJump) {
			// Nothing falls through to here; padding may be covered.
			if rest[0] != 0xcc && rest[0] != 0x90 {
				return fmt.Errorf("it has %d bytes and does not fit before % x", len(trap), rest[:min(4, len(rest))])
			}
			s.length++
			continue
		}
		o, err := decodeOp(rest)
		switch {
		case errors.Is(err, errStep):
			s.step = true
		case err != nil:
			return err
		}
		s.ops = append(s.ops, o)
		s.length += uint64(o.len)
	}
	return nil
}

// arm puts all traps into the text.
func (m siteMap) arm() {
	for _, s := range m {
		s.text.write(s.armed)
	}
}

// disarm puts the guest's own text back where the traps still are.
func (m siteMap) disarm() {
	for _, s := range m {
		if s.intact() {
			s.text.write(s.orig[:len(s.armed)])
		}
	}
}

// intact says whether the trap is still in the text.
func (s *site) intact() bool { return bytes.Equal(s.text.read(len(s.armed)), s.armed) }

// poisoned says whether the text at the site was filled with one byte: it was
// no text any more then, and given back.
func (s *site) poisoned() bool {
	b := s.text.read(s.text.size())
	return len(b) > 8 && bytes.Count(b, b[:1]) == len(b)
}

// overwritten returns the sites whose trap the guest has overwritten.
func (m siteMap) overwritten() []*site {
	var out []*site
	for _, s := range m {
		if !s.intact() {
			out = append(out, s)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].at < out[j].at })
	return out
}
