package kernel

import (
	"errors"
	"sort"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/symbols"
)

// debugInfo is what this package asks of a kernel's debug information.
type debugInfo interface {
	arch() *arch.Arch
	// symbol finds the one symbol of a name.
	symbol(name string) (symbols.Symbol, bool)
	// sized finds the one symbol of a name that has so many bytes.
	sized(name string, bytes uint64) (symbols.Symbol, bool)
	// structure finds a struct or union by its name without the keyword;
	// near are functions whose source file has it.
	structure(name string, near ...string) (structure, error)
	// constant returns the value of an enum's constant.
	constant(name string, near ...string) (int64, error)
}

// structure is one struct or union.
type structure interface {
	field(path string) (symbols.Field, error)
	size() uint64
}

// layout looks up members and remembers what was not there, so that a
// missing type is told once, up front, with all others.
type layout struct {
	info    debugInfo
	structs map[string]structure
	missing map[string]bool
	err     error // the first that is not about something missing
}

func newLayout(info debugInfo) *layout {
	return &layout{info: info, structs: map[string]structure{}, missing: map[string]bool{}}
}

// Functions whose source files see the types of their subsystem: the debug
// information of a kernel is large, and is only read there.
var (
	nearFork   = []string{"copy_process", "kernel_clone", "_do_fork"}
	nearModule = []string{"load_module"}
	nearPerCPU = []string{"pcpu_alloc", "pcpu_alloc_noprof"}
	nearPage   = []string{"free_unref_page", "free_frozen_pages", "free_unref_folios", "free_hot_cold_page"}
	nearSlab   = []string{"kmem_cache_alloc", "kmem_cache_alloc_noprof"}
	nearSched  = []string{"schedule", "scheduler_tick", "sched_tick"}
	nearVmap   = []string{"find_vm_area", "vmap"}
)

// constant returns the value of an enum's constant, if there is one.
func (l *layout) constant(name string, near ...string) (int64, bool) {
	v, err := l.info.constant(name, near...)
	if err != nil {
		l.note(err)
	}
	return v, err == nil
}

// needConstant is constant for one that must exist.
func (l *layout) needConstant(name string, near ...string) int64 {
	v, ok := l.constant(name, near...)
	if !ok {
		l.missing["constant "+name] = true
	}
	return v
}

// find returns the structure or nil.
func (l *layout) find(name string, near ...string) structure {
	if s, ok := l.structs[name]; ok {
		return s
	}
	s, err := l.info.structure(name, near...)
	if err != nil {
		s = nil
		l.note(err)
	}
	l.structs[name] = s
	return s
}

func (l *layout) note(err error) {
	if l.err == nil && !errors.Is(err, symbols.ErrNotFound) {
		l.err = err
	}
}

// size returns the structure's size, which must exist.
func (l *layout) size(name string, near ...string) uint64 {
	s := l.find(name, near...)
	if s == nil {
		l.missing["struct "+name] = true
		return 0
	}
	return s.size()
}

// opt returns the first of the members that exists.
func (l *layout) opt(name string, paths ...string) (member, bool) {
	s := l.find(name)
	if s == nil {
		return member{}, false
	}
	for _, p := range paths {
		f, err := s.field(p)
		if err == nil {
			return member{f}, true
		}
		l.note(err)
	}
	return member{}, false
}

// need returns the first of the members that exists; one must.
func (l *layout) need(name string, paths ...string) member {
	m, ok := l.opt(name, paths...)
	if !ok {
		if l.find(name) == nil {
			l.missing["struct "+name] = true
		} else {
			l.missing["struct "+name+"."+paths[0]] = true
		}
	}
	return m
}

// needSymbol notes that one of the symbols must exist.
func (l *layout) needSymbol(names ...string) {
	for _, n := range names {
		if _, ok := l.info.symbol(n); ok {
			return
		}
	}
	l.missing["symbol "+names[0]] = true
}

func (l *layout) has(symbol string) bool {
	_, ok := l.info.symbol(symbol)
	return ok
}

// result returns the error about everything that was missing.
func (l *layout) result() error {
	if l.err != nil {
		return l.err
	}
	if len(l.missing) == 0 {
		return nil
	}
	e := &MissingError{}
	for n := range l.missing {
		e.Names = append(e.Names, n)
	}
	sort.Strings(e.Names)
	return e
}

// member is where a value lies in a structure.
type member struct{ symbols.Field }

// get reads the member from the bytes of its structure; zero where b is too
// short. Of an array it reads the first bytes.
func (m member) get(a *arch.Arch, b []byte) uint64 {
	size := min(m.Size, 8)
	if m.Offset > uint64(len(b)) || size > uint64(len(b))-m.Offset {
		return 0
	}
	return m.Bits(a.Uint(b[m.Offset : m.Offset+size]))
}
