package qemu

import (
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// armed is a plan in the plugin's form, before it is written to the shared
// memory.
type armed struct {
	header  planHeader
	sites   []siteRow
	hooks   []hookRow
	groups  []groupRow
	members []memberRow
}

// compilePlan translates p for a guest of architecture a. It refuses what
// the plugin could not do faithfully.
func compilePlan(a *arch.Arch, p *hv.Plan) (*armed, error) {
	out := &armed{}
	if err := out.addRegisters(a); err != nil {
		return nil, err
	}
	if err := out.addHooks(a, p.Hooks); err != nil {
		return nil, err
	}
	if err := out.addContext(a, p.Context); err != nil {
		return nil, err
	}
	out.addPaging(a)
	// Where the kernel says how far it goes, other mappings may follow.
	if t := a.Paging; t != nil && t.LinearEnd == "" && !t.Prefixed && len(t.Linear) <= maxLinear {
		out.header.nlinear = uint64(copy(out.header.linear[:], t.Linear))
	}
	size := p.StackSize
	if size == 0 {
		size = a.Linux.StackSize
	}
	if size&(size-1) != 0 {
		return nil, fmt.Errorf("qemu: stack size %d is no power of two", size)
	}
	out.header.stackAlign = size
	return out, nil
}

// read returns the number of the read of register name at an entry.
func (p *armed) read(a *arch.Arch, name string) (uint8, error) {
	reg, err := register(a, name)
	if err != nil {
		return 0, err
	}
	h := &p.header
	if at := slices.Index(h.reads[:h.nreads], reg); at >= 0 {
		return uint8(at), nil
	}
	if h.nreads == maxReads {
		return 0, fmt.Errorf("qemu: more than %d registers at an event", maxReads)
	}
	h.reads[h.nreads] = reg
	h.nreads++
	return uint8(h.nreads - 1), nil
}

// register returns the number of register name.
func register(a *arch.Arch, name string) (uint8, error) {
	i := slices.IndexFunc(a.Regs, func(r arch.Reg) bool { return r.Name == name })
	if i < 0 {
		return 0, fmt.Errorf("qemu: %s has no register %q", a.Name, name)
	}
	return uint8(i), nil
}

// passed is how many arguments of a function can be told.
func passed(a *arch.Arch) int { return len(a.Call.Args) + a.Call.Stack.Count }

func (p *armed) addRegisters(a *arch.Arch) (err error) {
	h := &p.header
	for i := range h.args {
		h.args[i] = noRead
	}
	h.fp, h.link = noRead, noRead
	if passed(a) > len(h.args) {
		return fmt.Errorf("qemu: %s passes more than %d arguments", a.Name, len(h.args))
	}
	h.stackArgs = uint8(a.Call.Stack.Offset)
	for i, name := range a.Call.Args {
		if h.args[i], err = register(a, name); err != nil {
			return err
		}
	}
	for _, want := range []struct {
		name string
		to   *uint8
	}{{a.Call.SP, &h.sp}, {a.Call.FP, &h.fp}, {a.Call.Link, &h.link}} {
		if want.name == "" {
			continue
		}
		if *want.to, err = p.read(a, want.name); err != nil {
			return err
		}
	}
	h.user = noRead
	if u := a.Linux.UserMode; u.Register != "" {
		if h.user, err = register(a, u.Register); err != nil {
			return err
		}
		h.userIf = u.Match
	}
	if h.exitSP, err = register(a, a.Call.SP); err != nil {
		return err
	}
	h.exitResult, err = register(a, a.Call.Result)
	return err
}

// addPaging describes how addresses are translated, as far as that can be done
// by the tables that a register names, or without any.
func (p *armed) addPaging(a *arch.Arch) {
	t := a.Paging
	if t == nil || t.Prefixed {
		return
	}
	row := &p.header.paging
	if t.LinearEnd == "" && len(t.Linear) <= maxLinear {
		row.linear = uint32(copy(row.segment[:], t.Linear))
	}
	if t.Order != nil || t.Linear != nil || len(t.High) > 1 || t.RootRegister == "" || len(t.Levels) >= maxLevels {
		return
	}
	var high uint64
	if t.High != nil {
		high = t.High[0]
	}
	tables := pagingRow{entrySize: uint8(t.EntrySize), canonical: b2u(t.Canonical), high: high, extra: noRead, frame: t.RootMask()}
	var err error
	if tables.root, err = register(a, t.RootRegister); err != nil {
		return
	}
	levels := t.Levels
	if t.Extra != nil {
		if tables.extra, err = register(a, t.ExtraRegister); err != nil {
			return
		}
		tables.extraMask = t.ExtraMask
		levels = append([]arch.Level{*t.Extra}, levels...)
	}
	for i, l := range levels {
		l = t.Resolve(l)
		if l.EntrySize != t.EntrySize || l.FrameShift != 0 || l.Virtual {
			return
		}
		tables.level[i] = levelRow{
			leaf: l.Leaf, absent: l.Absent, frame: l.Frame,
			shift: uint32(l.Shift), bits: uint32(l.Bits),
		}
	}
	tables.levels = uint32(len(levels))
	*row = tables
}

func (p *armed) addHooks(a *arch.Arch, hooks []hv.Hook) error {
	at := map[guestmem.GVA]int{}
	site := func(addr guestmem.GVA, h *hv.Hook) (*siteRow, error) {
		if uint64(addr) < a.Linux.Text {
			return nil, fmt.Errorf("qemu: hook %s at %#x is not in kernel text", h.Name, uint64(addr))
		}
		i, ok := at[addr]
		if !ok {
			i = len(p.sites)
			at[addr] = i
			p.sites = append(p.sites, siteRow{addr: uint64(addr), entry: -1, exit: exitNone, flags: noRead, sp: noRead, result: noRead, with: noRead})
		}
		return &p.sites[i], nil
	}
	for i := range hooks {
		h := &hooks[i]
		row := hookRow{when: uint8(h.Array.When), sync: b2u(h.Sync), exits: b2u(len(h.Exits) > 0)}
		if h.StackBytes < 0 || h.StackBytes > maxStack {
			return fmt.Errorf("qemu: hook %s wants %d bytes of stack, at most %d are supported", h.Name, h.StackBytes, maxStack)
		}
		row.stackBytes = uint32(h.StackBytes)
		args := passed(a)
		if h.Args < 0 || h.Args > args {
			return fmt.Errorf("qemu: hook %s wants %d arguments, %d are passed where they can be read", h.Name, h.Args, args)
		}
		row.nargs = uint8(h.Args)
		if h.Args == 0 {
			row.nargs = uint8(args)
		}
		if h.Array.When != hv.ArrayNever {
			n := int(row.nargs)
			if h.Array.When > hv.ArrayAtExit || h.Array.Pointer < 0 || h.Array.Pointer >= n || h.Array.Count < 0 || h.Array.Count >= n {
				return fmt.Errorf("qemu: hook %s wants an array of impossible arguments", h.Name)
			}
			if h.Array.When == hv.ArrayAtExit && len(h.Exits) == 0 {
				return fmt.Errorf("qemu: hook %s wants an array at its exits and has none", h.Name)
			}
			row.pointer, row.count = uint8(h.Array.Pointer), uint8(h.Array.Count)
		}
		s, err := site(h.Entry, h)
		if err != nil {
			return err
		}
		if s.entry >= 0 {
			return fmt.Errorf("qemu: hooks %s and %s have the same entry %#x", hooks[s.entry].Name, h.Name, uint64(h.Entry))
		}
		s.entry = int32(i)
		for _, x := range h.Exits {
			s, err := site(x.Addr, h)
			if err != nil {
				return err
			}
			if err := s.leaves(a, x); err != nil {
				return fmt.Errorf("qemu: hook %s: %w", h.Name, err)
			}
			switch s.exit {
			case exitNone, int32(i):
				s.exit = int32(i)
			default:
				s.exit = exitShared
			}
		}
		p.hooks = append(p.hooks, row)
	}
	return nil
}

// leaves makes the site an exit.
func (s *siteRow) leaves(a *arch.Arch, x hv.ExitPoint) error {
	was := *s
	if x.Pop > 1<<20 {
		return fmt.Errorf("the exit at %#x pops %d bytes", uint64(x.Addr), x.Pop)
	}
	s.pop, s.flags, s.sp, s.result, s.with, s.bits, s.add = uint32(x.Pop), noRead, noRead, noRead, noRead, 0, 0
	if x.SP != "" {
		reg, err := register(a, x.SP)
		if err != nil {
			return err
		}
		s.sp = reg
	}
	if r := x.Result; r != nil {
		if r.Signed > 64 {
			return fmt.Errorf("the result at %#x has %d bits", uint64(x.Addr), r.Signed)
		}
		s.result, s.bits, s.add = zeroRead, uint8(r.Signed), r.Add
		for _, want := range []struct {
			name string
			to   *uint8
		}{{r.Register, &s.result}, {r.With, &s.with}} {
			if want.name == "" {
				continue
			}
			reg, err := register(a, want.name)
			if err != nil {
				return err
			}
			*want.to = reg
		}
	}
	if c := x.If; c != nil {
		reg, err := register(a, c.Register)
		if err != nil {
			return err
		}
		s.flags, s.shift, s.taken = reg, uint8(c.Shift), c.Taken
	}
	if s.exit != exitNone && was != *s {
		return fmt.Errorf("the exit at %#x is described in two ways", uint64(x.Addr))
	}
	return nil
}

// addContext translates the fetches and joins those that lie close together
// into one read: reading guest memory costs about the same for 8 bytes and
// for 500, as long as it is one page.
func (p *armed) addContext(a *arch.Arch, fetches []hv.Fetch) error {
	type group struct {
		groupRow
		fetches []int
		end     uint64
	}
	var groups []group
	to := make([]uint32, len(fetches))
	for i, f := range fetches {
		if f.Size <= 0 || f.Size > 16 {
			return fmt.Errorf("qemu: fetch %d of %d bytes, 1 to 16 are supported", i, f.Size)
		}
		to[i] = p.header.contextBytes
		p.header.contextBytes += uint32(f.Size+7) &^ 7
		if p.header.contextBytes > maxContext {
			return fmt.Errorf("qemu: more than %d bytes of context", maxContext)
		}
		g := group{groupRow: groupRow{offset: f.Offset}, end: f.Offset + uint64(f.Size)}
		switch {
		case f.Align != 0:
			return fmt.Errorf("qemu: fetch %d is based on a rounded register", i)
		case f.Reg != "":
			at, err := p.read(a, f.Reg)
			if err != nil {
				return err
			}
			g.base, g.from = baseReg, uint16(at)
		case f.Prev > i || f.Prev < 0:
			return fmt.Errorf("qemu: fetch %d is based on fetch %d", i, f.Prev-1)
		case f.Prev > 0:
			g.base, g.from = basePrev, uint16(to[f.Prev-1])
		}
		if g.end < g.offset {
			return fmt.Errorf("qemu: fetch %d wraps around the address space", i)
		}
		// An earlier group with the same base can take it in: what the base
		// needs was there before that group already.
		joined := false
		for j := range groups {
			o := &groups[j]
			low, high := min(o.offset, g.offset), max(o.end, g.end)
			if o.base != g.base || o.from != g.from || high-low > maxSpan {
				continue
			}
			o.offset, o.end, joined = low, high, true
			o.fetches = append(o.fetches, i)
			break
		}
		if !joined {
			g.fetches = []int{i}
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		row := g.groupRow
		row.span = uint32(g.end - g.offset)
		row.first, row.count = uint32(len(p.members)), uint32(len(g.fetches))
		for _, i := range g.fetches {
			p.members = append(p.members, memberRow{
				at: uint16(fetches[i].Offset - g.offset), size: uint16(fetches[i].Size), to: to[i],
			})
		}
		p.groups = append(p.groups, row)
	}
	return nil
}

// write lays the plan out in dst, the shared memory for it.
func (p *armed) write(dst []byte) error {
	h := p.header
	h.sites, h.hooks = uint32(len(p.sites)), uint32(len(p.hooks))
	h.groups, h.members = uint32(len(p.groups)), uint32(len(p.members))
	h.low = ^uint64(0)
	for _, s := range p.sites {
		h.low, h.high = min(h.low, s.addr), max(h.high, s.addr)
	}
	// At most half of the table is in use, so a search ends soon.
	h.hashBits = uint32(bits.Len(uint(2*len(p.sites) + 1)))
	hash := make([]uint32, 1<<h.hashBits)
	for i, s := range p.sites {
		at := (s.addr * 0x9e3779b97f4a7c15) >> (64 - h.hashBits)
		for hash[at] != 0 {
			at = (at + 1) & (1<<h.hashBits - 1)
		}
		hash[at] = uint32(i + 1)
	}

	at := int(unsafe.Sizeof(h))
	h.siteAt, at = place(dst, at, p.sites)
	h.hookAt, at = place(dst, at, p.hooks)
	h.groupAt, at = place(dst, at, p.groups)
	h.memberAt, at = place(dst, at, p.members)
	h.hashAt, at = place(dst, at, hash)
	if at > len(dst) {
		return fmt.Errorf("qemu: the plan of %d hooks and %d addresses is too large", len(p.hooks), len(p.sites))
	}
	place(dst, 0, []planHeader{h})
	return nil
}

// place copies rows into dst at offset at, if they fit, and returns their
// offset and the next free one, which may be past the end of dst.
func place[T any](dst []byte, at int, rows []T) (offset uint32, next int) {
	at = (at + 7) &^ 7
	var one T
	n := len(rows) * int(unsafe.Sizeof(one))
	if n > 0 && at+n <= len(dst) {
		copy(unsafe.Slice((*T)(unsafe.Pointer(&dst[at])), len(rows)), rows)
	}
	return uint32(at), at + n
}

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
