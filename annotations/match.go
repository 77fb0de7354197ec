package annotations

import "strings"

// Frame is one function of a backtrace.
type Frame struct {
	Function string // empty where nothing is known
	Module   string // empty for the kernel
}

// Object is what rules look at.
type Object struct {
	Kind   string // "slab", "vmalloc", "percpu", "pages"
	Cache  string // slab cache; empty for none
	Size   uint64 // bytes
	Frames []Frame
}

// Matcher finds the rule for an object. It is read only.
type Matcher struct {
	rules      []Rule
	allocators map[string]bool
	// byName has the rules that need a function of one of its names in the
	// backtrace, others the rest; both by ascending index.
	byName map[string][]int
	others []int
}

// NewMatcher returns a Matcher for rules, of which the first that matches is
// taken. allocators are the functions that stand between an object and who
// wanted it.
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
		names = names[:0]
		ok = len(list) > 0
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

// Rule returns rule i.
func (m *Matcher) Rule(i int) *Rule { return &m.rules[i] }

// Len is the number of rules.
func (m *Matcher) Len() int { return len(m.rules) }

// Match returns the index of the first rule that matches o, or -1. Clones of
// a function (name.isra.0) and its form with allocation profiling
// (name_noprof) go by its name.
func (m *Matcher) Match(o *Object) int {
	best := -1
	try := func(i int) {
		if (best < 0 || i < best) && m.matches(&m.rules[i], o) {
			best = i
		}
	}
	for i := range o.Frames {
		for _, r := range m.byName[base(o.Frames[i].Function)] {
			try(r)
		}
	}
	for _, i := range m.others {
		try(i)
	}
	return best
}

func (m *Matcher) matches(r *Rule, o *Object) bool {
	switch {
	case len(r.Kind) > 0 && !anyMatch(r.Kind, o.Kind),
		len(r.Cache) > 0 && !anyMatch(r.Cache, o.Cache),
		len(r.Size) > 0 && !inSizes(r.Size, o.Size),
		len(r.Module) > 0 && !anyFrame(o, func(f *Frame) bool { return f.Module != "" && anyMatch(r.Module, f.Module) }),
		len(r.Function) > 0 && !anyFrame(o, func(f *Frame) bool { return anyMatch(r.Function, base(f.Function)) }),
		len(r.Caller) > 0 && !m.caller(r, o):
		return false
	}
	return true
}

func anyFrame(o *Object, ok func(*Frame) bool) bool {
	for i := range o.Frames {
		if ok(&o.Frames[i]) {
			return true
		}
	}
	return false
}

func inSizes(list []SizeRange, n uint64) bool {
	for _, s := range list {
		if s.Min <= n && n <= s.Max {
			return true
		}
	}
	return false
}

// caller says whether the innermost function that is neither an allocator
// nor passed through is the rule's caller.
func (m *Matcher) caller(r *Rule, o *Object) bool {
	for i := range o.Frames {
		name := base(o.Frames[i].Function)
		switch {
		case name == "":
			return false
		case anyMatch(r.Caller, name):
			return true
		case !m.allocators[name] && !anyMatch(r.Through, name):
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
