package leak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/leakvisor/leakvisor/annotations"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
	"github.com/leakvisor/leakvisor/symbols"
)

// rules are Linux's annotations and, behind them, the user's suppressions.
type rules struct {
	*annotations.Matcher
	builtin int // how many are Linux's
	// traces has the rules that a backtrace allows, by how many modules had
	// come or gone before, which decides what its addresses mean, and by the
	// backtrace's number; nil where that is not known yet.
	traces  map[int][][]int
	img     *symbols.Image
	inlined map[[2]string][]symbols.Range // copies of a function, and where
	from    map[int]uint64                // offsets in bytes where a scan area begins, by rule
	modules []uint64                      // events at which a module came or went, ascending
}

func newRules(img *symbols.Image, suppress []annotations.Rule) (*rules, error) {
	linux, err := annotations.Linux()
	if err != nil {
		return nil, err
	}
	if hooks.HasNotes(img) {
		linux = notedRules(linux)
	}
	all := append(slices.Clip(linux), suppress...)
	r := &rules{
		Matcher: annotations.NewMatcher(all, hooks.Names()),
		builtin: len(linux),
		traces:  map[int][][]int{},
		img:     img,
		inlined: map[[2]string][]symbols.Range{},
		from:    map[int]uint64{},
	}
	// Reading debug information takes long: better now than with the guest
	// paused.
	for i := range all {
		for _, without := range all[i].Without {
			for _, into := range slices.Concat(all[i].Caller, all[i].Through) {
				if _, err := r.copies(string(without), string(into)); err != nil {
					return nil, err
				}
			}
		}
		if all[i].Action == annotations.ScanArea {
			if err := r.findFrom(i); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// findFrom finds where the scan area of rule i begins. In a kernel without
// that structure the rule does nothing.
func (r *rules) findFrom(i int) error {
	rule := &r.Rules()[i]
	typ, member, _ := strings.Cut(rule.From, ".")
	var near []string
	for _, c := range rule.Caller {
		near = append(near, string(c))
	}
	st, err := r.img.Struct(typ, near...)
	if err == nil {
		var f symbols.Field
		if f, err = st.Field(member); err == nil {
			r.from[i] = f.Offset
		}
	}
	if err != nil && !errors.Is(err, symbols.ErrNotFound) {
		return fmt.Errorf("%s: %w", rule.Pos(), err)
	}
	return nil
}

// copies returns where a function was inlined in the source file of another.
func (r *rules) copies(function, into string) ([]symbols.Range, error) {
	key := [2]string{function, into}
	ranges, ok := r.inlined[key]
	if !ok {
		var err error
		if ranges, err = r.img.Inlined(function, into); err != nil && !errors.Is(err, symbols.ErrNotFound) {
			return nil, err
		}
		r.inlined[key] = ranges
	}
	return ranges, nil
}

// modulesChanged notes the event at which a module came or went.
func (r *rules) modulesChanged(seq uint64) { r.modules = append(r.modules, seq) }

// changes returns how many modules had come or gone by an event.
func (r *rules) changes(seq uint64) int {
	return sort.Search(len(r.modules), func(i int) bool { return r.modules[i] > seq })
}

// trace returns the rules that an object's backtrace allows.
func (s *Session) trace(o hooks.Object) []int {
	r, stack := s.rules, s.tracker.Stack(o)
	changes := r.changes(o.Seq)
	traces := r.traces[changes]
	if uint64(stack) < uint64(len(traces)) && traces[stack] != nil {
		return traces[stack]
	}
	var frames []annotations.Frame
	for _, f := range s.backtrace(o) {
		frames = append(frames, annotations.Frame{Function: f.Symbol, Module: f.Module})
	}
	pcs := s.tracker.Backtrace(o)
	found := r.Trace(frames, func(i int, function string) bool { return s.inlined(pcs[i], i, function, frames[i].Function) })
	if need := int(stack) + 1 - len(traces); need > 0 {
		traces = append(traces, make([][]int, need)...)
		r.traces[changes] = traces
	}
	traces[stack] = append([]int{}, found...)
	return traces[stack]
}

// inlined says whether the address in frame i of a backtrace is in a copy of
// a function that was inlined into another.
func (s *Session) inlined(pc guestmem.GVA, i int, function, into string) bool {
	link, ok := s.space.Link(pc)
	if !ok {
		return false
	}
	if i > 0 { // a return address
		link--
	}
	into, _, _ = strings.Cut(into, ".") // a clone has the source of its function
	ranges, err := s.rules.copies(function, into)
	if err != nil {
		s.log.Warn("looking for inlined functions", "error", err)
	}
	return slices.ContainsFunc(ranges, func(r symbols.Range) bool { return r.Contains(link) })
}

// pointer reads a pointer variable of the kernel, zero where there is none.
func (s *Session) pointer(p *picture, variable string) guestmem.GVA {
	at, ok := p.kernel.Addr(variable)
	if !ok {
		return 0
	}
	word := make([]byte, s.arch.WordSize)
	if err := guestmem.Read(p.mem, at, word); err != nil {
		return 0
	}
	return guestmem.GVA(s.arch.Word(word))
}

// mark finds the rule of each object, the first that matches, and keeps from
// being scanned what a rule says holds no references. That a rule covers an
// object is no part of the scan, so that what it hides can be told: see
// cover.
func (s *Session) mark(p *picture) {
	p.covers = map[int]int{}
	caches := map[string]guestmem.GVA{}
	var o *object
	var what annotations.Object
	what.CacheIn = func(variable string) bool {
		at, ok := caches[variable]
		if !ok {
			at = s.pointer(p, variable)
			caches[variable] = at
		}
		return at != 0 && at == o.cacheAddr
	}
	what.Type = func() string { return s.typeTag(o) }
	for i := range p.objects {
		o = &p.objects[i]
		what.Kind, what.Cache, what.Size = o.class.String(), o.cache, o.Size
		if s.plan.Noted {
			s.markNoted(p, i)
		}
		for _, rule := range s.trace(o.Object) {
			if !s.rules.Holds(rule, &what) {
				continue
			}
			switch s.rules.Rules()[rule].Action {
			case annotations.NoScan:
				p.in.Objects[i].Flag |= scanner.NoScan
			case annotations.ScanArea:
				if from, ok := s.rules.from[rule]; ok && from < o.Size {
					p.in.Objects[i].Parts = []gvaRange{{Start: o.Addr + guestmem.GVA(from), End: o.Addr + guestmem.GVA(o.Size)}}
				}
			default:
				if _, ok := p.covers[i]; !ok {
					p.covers[i] = rule
				}
			}
		}
	}
}

// cover takes from a scan's result what the rules hide: unreferenced objects
// that a rule matches, and what hangs on them unless the rule is ignore. It
// returns the rule for each, the first one that hides it. The result is what
// a scan with these objects as roots finds, but only what is unreferenced is
// scanned again.
func (s *Session) cover(ctx context.Context, p *picture, res *scanner.Result) (map[int]int, error) {
	return cover(ctx, p.in, res, p.covers, func(rule int) bool {
		return s.rules.Rules()[rule].Action == annotations.Ignore
	})
}

func cover(ctx context.Context, in *scanner.Input, res *scanner.Result, covers map[int]int, ignore func(rule int) bool) (map[int]int, error) {
	byRule := map[int][]int{}
	var white []int
	for i, state := range res.States {
		if state != scanner.Orphan && state != scanner.Unknown {
			continue
		}
		white = append(white, i)
		if rule, ok := covers[i]; ok {
			byRule[rule] = append(byRule[rule], i)
		}
	}
	hidden := map[int]int{}
	for _, rule := range slices.Sorted(maps.Keys(byRule)) {
		for _, i := range byRule[rule] {
			if _, ok := hidden[i]; !ok {
				hidden[i] = rule
			}
		}
		if !ignore(rule) {
			if err := hanging(ctx, in, white, hidden, rule); err != nil {
				return nil, err
			}
		}
		white = slices.DeleteFunc(white, func(i int) bool { _, ok := hidden[i]; return ok })
	}
	for i := range hidden {
		res.States[i] = scanner.Ignored
	}
	prune(in, res, hidden)
	return hidden, nil
}

// hanging adds to hidden what hangs on the objects that it has for a rule.
// Only the white objects are looked at: others are reachable, or hidden with
// all that hangs on them.
func hanging(ctx context.Context, in *scanner.Input, white []int, hidden map[int]int, rule int) error {
	part := *in
	part.Roots, part.Older, part.Index, part.Objects = nil, nil, nil, make([]scanner.Object, len(white))
	for k, i := range white {
		part.Objects[k] = in.Objects[i]
		if of, ok := hidden[i]; ok && of == rule {
			part.Objects[k].Flag |= scanner.Gray
		}
	}
	res, err := scanner.Scan(ctx, &part, nil)
	if err != nil {
		return err
	}
	for k, i := range white {
		if _, ok := hidden[i]; !ok && res.States[k] == scanner.Reachable {
			hidden[i] = rule
		}
	}
	return nil
}

// prune takes hidden objects out of the leaks. What hangs on a hidden object
// is hidden too, so no leak loses what leads to one of its children.
func prune(in *scanner.Input, res *scanner.Result, hidden map[int]int) {
	if len(hidden) == 0 {
		return
	}
	gone := func(i int) bool { _, ok := hidden[i]; return ok }
	res.Leaks = slices.DeleteFunc(res.Leaks, func(l scanner.Leak) bool { return gone(l.Object) })
	for k := range res.Leaks {
		l := &res.Leaks[k]
		l.Children = slices.DeleteFunc(l.Children, func(c scanner.Child) bool { return gone(int(c.Object)) })
		l.Bytes = in.Objects[l.Object].Size
		for _, c := range l.Children {
			sum := l.Bytes + in.Objects[c.Object].Size
			if sum < l.Bytes {
				sum = ^uint64(0)
			}
			l.Bytes = sum
		}
	}
	slices.SortStableFunc(res.Leaks, func(a, b scanner.Leak) int {
		switch {
		case a.Bytes > b.Bytes:
			return -1
		case a.Bytes < b.Bytes:
			return 1
		}
		return 0
	})
}

// hid fills in what the rules hid of what would have been reported: of
// Linux's those that hid something, and all of the user's.
func (s *Session) hid(r *report.Report, objects map[int]int, reported func(object int) (size uint64, ok bool)) {
	rules := s.rules.Rules()
	counts := make([]report.Rule, len(rules))
	for i, rule := range objects {
		if size, ok := reported(i); ok {
			counts[rule].Objects++
			counts[rule].Bytes += size
		}
	}
	for i := range counts {
		c, rule := &counts[i], &rules[i]
		c.Rule, c.File, c.Line, c.Reason = rule.String(), rule.File, rule.Line, rule.Reason
		switch {
		case i >= s.rules.builtin:
			r.Suppressed = append(r.Suppressed, *c)
		case c.Objects > 0:
			r.Annotated = append(r.Annotated, *c)
		}
	}
}

// backtrace names the functions of an object's allocation.
func (s *Session) backtrace(o hooks.Object) []report.Frame {
	var out []report.Frame
	for i, pc := range s.tracker.Backtrace(o) {
		f := s.space.ResolveReturn(pc, o.Seq)
		if i == 0 || s.plan.ReturnTracers[pc] {
			f = s.space.Resolve(pc, o.Seq)
		}
		out = append(out, report.Frame{Addr: report.Hex(pc), Symbol: f.Symbol, Offset: f.Offset, Size: f.Size, Module: f.Module})
	}
	return out
}
