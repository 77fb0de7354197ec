package report

import (
	"cmp"
	"slices"
	"strings"
)

// Skip is a set of functions that a search for the caller of an allocation
// passes over, by name.
type Skip map[string]bool

// skip returns the hooked functions of r and the allocators given: what stands
// between an object and the code that wanted it.
func (r *Report) skip(allocators []string) Skip {
	s := Skip{}
	for _, h := range r.Liveness.Hooks {
		s[base(h.Symbol)] = true
	}
	for _, a := range allocators {
		s[base(a)] = true
	}
	return s
}

// base cuts the compiler's suffixes (.isra.0, .constprop.0, .part.0, .cold)
// off a name.
func base(symbol string) string {
	if i := strings.IndexByte(symbol, '.'); i > 0 {
		return symbol[:i]
	}
	return symbol
}

// Caller returns the innermost frame that is not one of the functions to skip,
// or the outermost where all are, or the zero Frame where there is none. A
// clone of a function (name.isra.0) is skipped with it.
func (o *Orphan) Caller(skip Skip) Frame {
	var f Frame
	for _, f = range o.Backtrace {
		if f.Symbol == "" || !skip[base(f.Symbol)] {
			break
		}
	}
	return f
}

// group is what one caller leaked.
type group struct {
	caller  string
	frame   Frame // of the first leak
	leaks   int
	orphans []int // indices: the leaks, and behind each what hangs on it
	bytes   uint64
}

// groups returns the orphans of a normalized report by who allocated the leak
// that they hang on, the most bytes first.
func (r *Report) groups(skip Skip) []group {
	index := map[string]int{}
	var gs []group
	at := 0
	for i := range r.Orphans {
		o := &r.Orphans[i]
		if r.heads(i) {
			f := o.Caller(skip)
			name := callerName(&f)
			var ok bool
			if at, ok = index[name]; !ok {
				at = len(gs)
				index[name] = at
				gs = append(gs, group{caller: name, frame: f})
			}
			gs[at].leaks++
		}
		gs[at].orphans = append(gs[at].orphans, i)
		gs[at].bytes = saturating(gs[at].bytes, o.Size)
	}
	slices.SortStableFunc(gs, func(a, b group) int { return cmp.Compare(b.bytes, a.bytes) })
	return gs
}

// callerName is a frame without its offsets, which differ from call to call.
func callerName(f *Frame) string {
	switch {
	case f.Symbol == "" && f.Addr == 0:
		return "(no backtrace)"
	case f.Symbol == "":
		return f.Addr.String()
	case f.Module != "":
		return printable(f.Symbol) + " [" + printable(f.Module) + "]"
	}
	return printable(f.Symbol)
}
