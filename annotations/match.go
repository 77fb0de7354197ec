package annotations

import (
	"slices"
	"strings"
)

// Frame is one function of a backtrace.
type Frame struct {
	Function string // empty where nothing is known
	Module   string // empty for the kernel
}

// Object is what rules look at besides the backtrace.
type Object struct {
	Kind  string // "slab", "vmalloc", "percpu", "pages"
	Cache string // slab cache; empty for none
	Size  uint64 // bytes
	// CacheIn says whether a variable of the kernel points to the cache; nil
	// for never.
	CacheIn func(variable string) bool
	// Type returns the tag of the structure that the object is, empty where
	// it is not known; nil for that. It is called only if a rule asks.
	Type func() string
}

// Matcher finds the rules for an object, in two steps: those that its
// backtrace allows, which many objects share, and of these those that the
// object allows. It is read only.
type Matcher struct {
	rules      []Rule
	allocators map[string]bool
	// byName has the rules that need a function of one of its names in the
	// backtrace, others the rest.
	byName map[string][]int
	others []int
}

// NewMatcher returns a Matcher. allocators are the functions that stand
// between an object and who wanted it.
func NewMatcher(rules []Rule, allocators []string) *Matcher {
	m := &Matcher{rules: rules, allocators: map[string]bool{}, byName: map[string][]int{}}
	for _, a := range allocators {
		m.allocators[base(a)] = true
	}
	for i := range rules {
		names, ok := needed(&rules[i])
		if !ok {
			m.others = append(m.others, i)
		}
		for _, n := range names {
			m.byName[n] = append(m.byName[n], i)
		}
	}
	return m
}

// needed returns the names of which a rule's match has one in its backtrace,
// if they are known.
func needed(r *Rule) (names []string, ok bool) {
	for _, list := range [][]Pattern{r.Caller, r.Function} {
		names, ok = nil, len(list) > 0
		for _, p := range list {
			names = append(names, string(p))
			ok = ok && p.Literal()
		}
		if ok {
			return names, true
		}
	}
	return nil, false
}

// Rules returns all rules, which must not be changed.
func (m *Matcher) Rules() []Rule { return m.rules }

// Trace returns the rules whose conditions on the backtrace hold, as
// ascending indices in Rules. Frames are the innermost first. Clones of a
// function (name.isra.0) and its form with allocation profiling (name_noprof)
// go by its name. inlined says whether the address of frame i is in an inlined
// copy of a function; nil for never.
func (m *Matcher) Trace(frames []Frame, inlined func(i int, function string) bool) []int {
	names := make([]Frame, len(frames))
	candidates := slices.Clone(m.others)
	for i, f := range frames {
		names[i] = Frame{base(f.Function), f.Module}
		candidates = append(candidates, m.byName[names[i].Function]...)
	}
	slices.Sort(candidates)
	candidates = slices.Compact(candidates)
	return slices.DeleteFunc(candidates, func(i int) bool { return !m.allows(&m.rules[i], names, inlined) })
}

// Holds says whether the other conditions of rule i, which Trace returned,
// hold for an object.
func (m *Matcher) Holds(i int, o *Object) bool {
	r := &m.rules[i]
	return (len(r.Kind) == 0 || anyMatch(r.Kind, o.Kind)) &&
		(len(r.Cache) == 0 || anyMatch(r.Cache, o.Cache)) &&
		(len(r.CacheIn) == 0 || o.CacheIn != nil && slices.ContainsFunc(r.CacheIn, func(v Pattern) bool { return o.CacheIn(string(v)) })) &&
		(len(r.Type) == 0 || o.Type != nil && anyMatch(r.Type, o.Type())) &&
		(len(r.Size) == 0 || slices.ContainsFunc(r.Size, func(s SizeRange) bool { return s.Min <= o.Size && o.Size <= s.Max }))
}

func (m *Matcher) allows(r *Rule, frames []Frame, inlined func(int, string) bool) bool {
	some := func(ok func(Frame) bool) bool { return slices.ContainsFunc(frames, ok) }
	return (len(r.Module) == 0 || some(func(f Frame) bool { return f.Module != "" && anyMatch(r.Module, f.Module) })) &&
		(len(r.Function) == 0 || some(func(f Frame) bool { return f.Function != "" && anyMatch(r.Function, f.Function) })) &&
		(len(r.Caller) == 0 || m.caller(r, frames, inlined))
}

// caller says whether the innermost function that is neither an allocator
// nor passed through is the rule's caller.
func (m *Matcher) caller(r *Rule, frames []Frame, inlined func(int, string) bool) bool {
	for i, f := range frames {
		switch {
		case f.Function == "":
			return false
		case inlined != nil && slices.ContainsFunc(r.Without, func(p Pattern) bool { return inlined(i, string(p)) }):
			return false
		case anyMatch(r.Caller, f.Function):
			return true
		case !m.allocators[f.Function] && !anyMatch(r.Through, f.Function):
			return false
		}
	}
	return false
}

// base cuts off what compilers append to the names of a function's parts and
// clones (.isra.0, .constprop.0, .part.0, .cold, .llvm.123), and _noprof,
// which allocators and wrappers around them carry since Linux 6.10.
func base(name string) string {
	if i := strings.IndexByte(name, '.'); i > 0 {
		name = name[:i]
	}
	return strings.TrimSuffix(name, "_noprof")
}
