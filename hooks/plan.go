package hooks

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/symbols"
)

// maxFunc bounds the code of one function, in bytes.
const maxFunc = 64 << 10

// Code is what planning needs of a kernel image; *symbols.Image has it. All
// addresses are link addresses.
type Code interface {
	Func(name string) (symbols.Func, error)
	FuncAt(addr uint64) (symbols.Symbol, bool)
	Symbols(name string) []symbols.Symbol
	Read(addr uint64, buf []byte) error
}

// PlanOptions say what to hook.
type PlanOptions struct {
	// Track lists the classes to judge. The others, but for Pages, are hooked
	// as well where they can be: what they hold is to be scanned.
	Track []Class
	// StackBytes is how much of the stack is copied at each allocation;
	// zero for DefaultStackBytes.
	StackBytes int
}

// DefaultStackBytes suffices for 16 frames in all but a few of a thousand
// allocations.
const DefaultStackBytes = 3 << 10

// Target is what one hook of a plan stands for.
type Target struct {
	Symbol string     // as linked, clone suffix included
	Alloc  *Allocator // or nil
	Moment *Moment    // or nil
	Note   *Note      // or nil
	// NoArgs says that the function is a clone (.isra, .constprop) whose
	// arguments the compiler may have changed.
	NoArgs bool
	// Part says that the function is the main part (.part) of one that is
	// hooked too, so that it mostly repeats what that said. Its arguments are
	// those of the whole function.
	Part bool
}

// Plan is a kernel's hooks. Hooks[i] belongs to Targets[i].
type Plan struct {
	Hooks   []hv.Hook
	Targets []Target
	// ReturnTracers are what tracers put in the place of return addresses.
	ReturnTracers map[guestmem.GVA]bool
	// Gaps say what could not be hooked and so makes verdicts unknown.
	Gaps []string
	// Noted says that what the kernel tells its own kmemleak is hooked.
	Noted bool
}

// ErrNoAllocators is wrapped when a kernel has none of the functions that a
// tracked class needs.
var ErrNoAllocators = errors.New("the kernel has no known allocator")

// BuildPlan finds the addresses to hook in a kernel whose text was moved by
// slide. It errs where a class to track has no function that allocates or
// none that frees.
func BuildPlan(a *arch.Arch, code Code, slide uint64, o PlanOptions) (*Plan, error) {
	if a.Text == nil {
		return nil, fmt.Errorf("function exits cannot be found on %s: no disassembler", a.Name)
	}
	b := builder{arch: a, code: code, slide: slide, thunks: map[uint64]bool{}, exits: map[uint64]*exitSet{}, plan: &Plan{}}
	for _, name := range a.Linux.ReturnThunks {
		for _, s := range code.Symbols(name) {
			b.thunks[s.Addr] = true
		}
	}
	b.plan.ReturnTracers = map[guestmem.GVA]bool{}
	for _, name := range a.Linux.ReturnTracers {
		for _, s := range code.Symbols(name) {
			b.plan.ReturnTracers[b.gva(s.Addr)] = true
		}
	}
	stack := o.StackBytes
	if stack == 0 {
		stack = DefaultStackBytes
	}
	tracked := map[Class]bool{Slab: true, Vmalloc: true, PerCPU: true}
	for _, c := range o.Track {
		tracked[c] = true
	}
	have := map[Class]map[Role]bool{}
	table := Table()
	for i := range table {
		row := &table[i]
		if !tracked[row.Class] {
			continue
		}
		n, err := b.allocator(row, stack)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			if have[row.Class] == nil {
				have[row.Class] = map[Role]bool{}
			}
			have[row.Class][row.Role] = true
		}
	}
	for _, c := range o.Track {
		if !have[c][Alloc] || c != Pages && !have[c][Free] {
			return nil, fmt.Errorf("%w of class %s (looked for %s): is this a Linux vmlinux with its symbol table?", ErrNoAllocators, c, strings.Join(names(table, c), ", "))
		}
	}
	if err := b.notes(stack); err != nil {
		return nil, err
	}
	moments := Moments()
	for i := range moments {
		if err := b.moment(&moments[i]); err != nil {
			return nil, err
		}
	}
	return b.plan, nil
}

func names(table []Allocator, c Class) []string {
	var out []string
	for _, row := range table {
		if row.Class == c {
			out = append(out, row.Symbols...)
		}
	}
	return out
}

type builder struct {
	arch   *arch.Arch
	code   Code
	slide  uint64
	thunks map[uint64]bool
	exits  map[uint64]*exitSet // by function start
	plan   *Plan
}

// exitSet are the exits of one piece of code.
type exitSet struct {
	returns []arch.Exit
	tails   []uint64
}

func (b *builder) allocator(row *Allocator, stack int) (int, error) {
	n := 0
	for _, base := range row.Symbols {
		for _, name := range []string{base, base + "_noprof"} {
			f, err := b.code.Func(name)
			if errors.Is(err, symbols.ErrNotFound) {
				continue
			}
			if err != nil {
				return n, err
			}
			for _, e := range f.Entries {
				if err := b.hookAllocator(row, e, strings.TrimPrefix(e.Name, name), stack); err != nil {
					b.plan.Gaps = append(b.plan.Gaps, fmt.Sprintf("%s is not hooked: %v", e.Name, err))
					continue
				}
				n++
			}
		}
	}
	return n, nil
}

// hookAllocator adds one function of a row; suffix is what the compiler added
// to its name.
func (b *builder) hookAllocator(row *Allocator, e symbols.Symbol, suffix string, stack int) error {
	h := hv.Hook{Name: e.Name, Entry: b.gva(e.Addr + e.Local)}
	target := Target{Symbol: e.Name, Alloc: row, NoArgs: changesArgs(suffix), Part: strings.Contains(suffix, ".part.")}
	if target.NoArgs && row.Role != Alloc && row.Role != Realloc {
		return errors.New("it is a clone whose arguments the compiler may have changed")
	}
	switch row.Role {
	case Alloc, AllocBulk, Realloc:
		exits, err := b.closure(e.Addr)
		if err != nil {
			return err
		}
		if len(exits) == 0 {
			return errors.New("it has no exit")
		}
		for _, x := range exits {
			h.Exits = append(h.Exits, hv.ExitPoint{Addr: b.gva(x.Addr), Pop: x.Pop, SP: x.SP, Result: x.Result, If: x.If})
		}
		h.StackBytes = stack
		if row.Role == AllocBulk {
			h.Array = hv.Array{When: hv.ArrayAtExit, Pointer: row.Pointer, Count: row.Count}
		}
	case FreeBulk:
		h.Array = hv.Array{When: hv.ArrayAtEntry, Pointer: row.Pointer, Count: row.Count}
	}
	b.add(h, target)
	return nil
}

// changesArgs says whether a clone with this suffix may take other arguments
// than its function (gcc/ipa-sra.cc, gcc/ipa-cp.cc). A .part takes the same.
func changesArgs(suffix string) bool {
	return strings.Contains(suffix, ".isra.") || strings.Contains(suffix, ".constprop.")
}

func (b *builder) moment(m *Moment) error {
	found := false
	for _, name := range m.Symbols {
		f, err := b.code.Func(name)
		if errors.Is(err, symbols.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range f.Entries {
			b.add(hv.Hook{Name: e.Name, Entry: b.gva(e.Addr + e.Local), Sync: true}, Target{Symbol: e.Name, Moment: m})
			found = true
		}
	}
	if !found && m.Kind == Started {
		return fmt.Errorf("the kernel has no function %s", strings.Join(m.Symbols, " or "))
	}
	return nil
}

func (b *builder) add(h hv.Hook, t Target) {
	b.plan.Hooks = append(b.plan.Hooks, h)
	b.plan.Targets = append(b.plan.Targets, t)
}

func (b *builder) gva(link uint64) guestmem.GVA { return guestmem.GVA(link + b.slide) }

// closure returns the returning instructions of the function at entry and of
// all that it tail-calls: whichever of them runs, it ends the call.
func (b *builder) closure(entry uint64) ([]arch.Exit, error) {
	var out []arch.Exit
	seen := map[uint64]bool{}
	work := []uint64{entry}
	for len(work) > 0 {
		f, ok := b.code.FuncAt(work[len(work)-1])
		work = work[:len(work)-1]
		if !ok || seen[f.Addr] {
			continue
		}
		seen[f.Addr] = true
		set, err := b.exitsOf(f)
		if err != nil {
			return nil, err
		}
		out = append(out, set.returns...)
		work = append(work, set.tails...)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Addr < out[j].Addr })
	return out, nil
}

func (b *builder) exitsOf(f symbols.Symbol) (*exitSet, error) {
	if s := b.exits[f.Addr]; s != nil {
		return s, nil
	}
	if f.Size == 0 || f.Size > maxFunc {
		return nil, fmt.Errorf("%s has an implausible size of %d bytes", f.Name, f.Size)
	}
	code := make([]byte, f.Size)
	if err := b.code.Read(f.Addr, code); err != nil {
		return nil, fmt.Errorf("reading the code of %s: %w", f.Name, err)
	}
	exits, err := b.arch.Text.Exits(f.Addr, code, b.thunks)
	if err != nil {
		return nil, fmt.Errorf("in %s: %w", f.Name, err)
	}
	s := &exitSet{}
	for _, x := range exits {
		if x.Tail == 0 {
			s.returns = append(s.returns, x)
		} else {
			s.tails = append(s.tails, x.Tail)
		}
	}
	b.exits[f.Addr] = s
	return s, nil
}
