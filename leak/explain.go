package leak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/leakvisor/leakvisor/annotations"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
	"github.com/leakvisor/leakvisor/symbols"
)

// ErrQuery is wrapped by errors about a query that is not understood.
var ErrQuery = errors.New("bad query")

// Bounds of explanations.
const (
	maxExplained = 16 // objects of one query
	maxPath      = 64 // references of a path: half of them from each end
	maxWords     = 8  // words that may each be the only reference
)

// Query says which objects to explain.
type Query struct {
	text    string
	address guestmem.GVA // an object that this is in; zero for none
	field   string       // "function", "cache", "type" or "module"
	pattern annotations.Pattern
}

// ParseQuery reads a query: an address in hexadecimal, or function:PATTERN,
// module:PATTERN (either of the allocation's backtrace), cache:PATTERN or
// type:PATTERN, with * for any characters. It wraps ErrQuery.
func ParseQuery(text string) (Query, error) {
	q := Query{text: text}
	if field, pattern, ok := strings.Cut(text, ":"); ok {
		q.field, q.pattern = field, annotations.Pattern(pattern)
		if !slices.Contains([]string{"function", "module", "cache", "type"}, q.field) {
			return q, fmt.Errorf("%w %q: it is function, module, cache or type that is asked for", ErrQuery, text)
		}
		if pattern == "" {
			return q, fmt.Errorf("%w %q: a pattern is missing", ErrQuery, text)
		}
		return q, nil
	}
	digits := strings.TrimPrefix(strings.ToLower(text), "0x")
	a, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || a == 0 {
		return q, fmt.Errorf("%w %q: neither a hexadecimal address nor function:, module:, cache: or type: with a pattern", ErrQuery, text)
	}
	q.address = guestmem.GVA(a)
	return q, nil
}

// matches says whether a query asks for object i. sites has the answers for
// backtraces that were had before.
func (q *Query) matches(s *Session, p *picture, i int, sites map[siteKey]bool) bool {
	o := &p.objects[i]
	glob := q.pattern.Match
	switch q.field {
	case "cache":
		return glob(o.cache)
	case "type":
		name := s.typeName(o)
		return name != "" && (glob(name) || glob(s.typeTag(o)))
	case "function", "module":
		key := siteKey{s.tracker.Stack(o.Object), s.rules.changes(o.Seq)}
		match, ok := sites[key]
		if !ok {
			match = slices.ContainsFunc(s.backtrace(o.Object), func(f report.Frame) bool {
				name, _, _ := strings.Cut(f.Symbol, ".")
				return q.field == "module" && f.Module != "" && glob(f.Module) || q.field == "function" && glob(name)
			})
			sites[key] = match
		}
		return match
	}
	so := &p.in.Objects[i]
	if q.address-so.Addr < guestmem.GVA(max(so.Size, 1)) {
		return true
	}
	return slices.ContainsFunc(so.Copies, func(c gvaRange) bool { return c.Contains(q.address) })
}

// explain answers the queries, each with the orphans first, and of them and of
// others the youngest.
func (s *Session) explain(ctx context.Context, p *picture, res *scanner.Result, hidden map[int]int) ([]report.Explanation, error) {
	var out []report.Explanation
	for k := range s.o.Explain {
		q := &s.o.Explain[k]
		var found []int
		sites := map[siteKey]bool{}
		for i := range p.objects {
			if q.matches(s, p, i, sites) {
				found = append(found, i)
			}
		}
		if len(found) == 0 {
			out = append(out, report.Explanation{Query: q.text})
		}
		sort.SliceStable(found, func(a, b int) bool {
			x, y := res.States[found[a]] != scanner.Reachable, res.States[found[b]] != scanner.Reachable
			return x && !y || x == y && p.objects[found[a]].Seq > p.objects[found[b]].Seq
		})
		for _, i := range found[:min(len(found), maxExplained)] {
			e, err := s.explainObject(ctx, p, i)
			if err != nil {
				return nil, err
			}
			if rule, ok := hidden[i]; ok {
				r := &s.rules.Rules()[rule]
				e.Rule = r.String() + " (" + r.Pos() + ")"
			}
			e.Query, e.Matches = q.text, len(found)
			out = append(out, e)
		}
	}
	return out, nil
}

// explainObject explains object i.
func (s *Session) explainObject(ctx context.Context, p *picture, i int) (report.Explanation, error) {
	o := &p.objects[i]
	e := report.Explanation{
		Found: true, Address: report.Hex(o.Addr), Size: o.Size, Kind: report.Kind(o.class.String()), Cache: o.cache,
		Type: s.typeName(o), Backtrace: s.backtrace(o.Object),
	}
	way, err := scanner.Explain(ctx, p.in, i)
	if err != nil {
		return e, err
	}
	e.State = map[scanner.State]report.State{
		scanner.Reachable: report.StateReachable, scanner.Orphan: report.StateOrphan,
		scanner.Unknown: report.StateUnknown, scanner.Ignored: report.StateIgnored,
	}[way.State]
	for k, h := range way.Hops {
		if k < maxPath/2 || k >= len(way.Hops)-maxPath/2 {
			e.Path = append(e.Path, s.reference(p, h))
		} else {
			e.PathOmitted++
		}
	}
	if way.State == scanner.Reachable {
		e.Weak, err = s.weak(ctx, p, i, way)
		return e, err
	}
	for _, h := range way.Referrers {
		e.Referrers = append(e.Referrers, s.reference(p, h))
	}
	e.ReferrerCount = way.ReferrerCount
	e.Content = s.content(p, i)
	return e, nil
}

// weak says what makes a reachable object doubtful.
func (s *Session) weak(ctx context.Context, p *picture, i int, way *scanner.Path) ([]string, error) {
	var out []string
	if way.OnlyInterior {
		out = append(out, "reachable only through pointers into objects, not to their starts")
	}
	if way.OnlyStack {
		out = append(out, "reachable only from a stack or a register")
	}
	if p.typed > 0 || len(way.Hops) == 0 {
		return out, nil // no word counts that is no pointer
	}
	sharp := s.sharpened(p)
	by, err := scanner.Explain(ctx, sharp, i)
	if err != nil || by.State == scanner.Reachable {
		return out, err
	}
	words := 0
	for _, h := range way.Hops {
		if h.Object < 0 || h.Edge || s.mayPoint(p, h.Object, h.Offset) {
			continue
		}
		if words++; words > maxWords {
			break
		}
		without := *p.in
		without.Exclude = append(slices.Clone(without.Exclude), gvaRange{Start: h.Addr, End: h.Addr + 1})
		by, err := scanner.Explain(ctx, &without, i)
		if err != nil {
			return out, err
		}
		if by.State != scanner.Reachable {
			return append(out, fmt.Sprintf("reachable only through one word that is no pointer by its type, at %#x", uint64(h.Addr))), nil
		}
	}
	return append(out, "reachable only through words that are no pointers by their types"), nil
}

// sharpened returns the scan's input with objects' types.
func (s *Session) sharpened(p *picture) *scanner.Input {
	if p.sharp == nil {
		in := *p.in
		in.Objects, in.Index = slices.Clone(in.Objects), nil
		s.setLayouts(p, &in)
		p.sharp = &in
	}
	return p.sharp
}

// Bounds of what is shown of an object's content.
const (
	maxValues  = 24
	maxContent = 4096 // bytes
)

// content describes what of an object's beginning is not zero: its members
// where the type is known, else the words that point to something.
func (s *Session) content(p *picture, i int) []report.Value {
	so := &p.in.Objects[i]
	start, size := so.Addr, min(so.Size, maxContent)
	if so.Flag&scanner.NotMapped != 0 {
		if len(so.Copies) == 0 {
			return nil
		}
		start = so.Copies[0].Start
	}
	b := make([]byte, size)
	if guestmem.Read(p.mem, start, b) != nil {
		return nil
	}
	var out []report.Value
	st := s.structAt(&p.objects[i])
	if st == nil {
		word := uint64(s.arch.WordSize)
		for off := uint64(0); off+word <= size && len(out) < maxValues; off += word {
			v := s.arch.Word(b[off:])
			if target := s.target(p, guestmem.GVA(v)); target != "" {
				out = append(out, report.Value{Offset: off, Value: report.Hex(v), Target: target})
			}
		}
		return out
	}
	const leaves = 512
	for _, l := range st.Leaves(leaves) {
		if len(out) == maxValues {
			break
		}
		if l.At+l.Size > size || l.Size > 8 {
			continue
		}
		f := symbols.Field{BitOffset: l.BitOffset, BitSize: l.BitSize}
		v := f.Bits(s.arch.Uint(b[l.At : l.At+l.Size]))
		if v == 0 {
			continue
		}
		value := report.Value{Offset: l.At, Member: l.Path, Type: l.Type, Value: report.Hex(v)}
		if l.Pointer || l.Size == uint64(s.arch.WordSize) {
			value.Target = s.target(p, guestmem.GVA(v))
		}
		out = append(out, value)
	}
	return out
}

// target says what a word points to: an object, code or a variable; empty for
// nothing known.
func (s *Session) target(p *picture, a guestmem.GVA) string {
	if i, ok := p.objectAt(a); ok {
		o := &p.objects[i]
		name := s.typeName(o)
		if name == "" {
			name = o.cache
		}
		text := strings.TrimSpace(name + " at " + report.Hex(o.Addr).String())
		if a != o.Addr {
			text += fmt.Sprintf(" +%#x", uint64(a-o.Addr))
		}
		return text
	}
	f := s.space.Resolve(a, now)
	if f.Symbol == "" {
		f, _ = s.space.DataAt(a, now)
	}
	if f.Symbol == "" {
		return ""
	}
	text := symbolName(f)
	if f.Offset > 0 {
		text += fmt.Sprintf(" +%#x", f.Offset)
	}
	return text
}

// objectAt finds the object that an address is in, by that of its first byte.
func (p *picture) objectAt(a guestmem.GVA) (int, bool) {
	if p.byAddr == nil {
		p.byAddr = make([]int32, len(p.objects))
		for i := range p.byAddr {
			p.byAddr[i] = int32(i)
		}
		slices.SortFunc(p.byAddr, func(x, y int32) int {
			if p.objects[x].Addr < p.objects[y].Addr {
				return -1
			}
			return 1
		})
	}
	k := sort.Search(len(p.byAddr), func(k int) bool { return p.objects[p.byAddr[k]].Addr > a }) - 1
	if k < 0 {
		return 0, false
	}
	i := int(p.byAddr[k])
	return i, uint64(a-p.objects[i].Addr) < max(p.objects[i].Size, 1)
}
