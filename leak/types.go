package leak

import (
	"context"
	"slices"
	"strings"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
	"github.com/leakvisor/leakvisor/symbols"
)

// types are what is known of objects' types.
type types struct {
	allocators map[string]bool // functions whose caller wants the memory
	sites      map[siteKey][]symbols.Assigned
	layouts    map[*symbols.Struct]symbols.Pointers
	named      map[string]*symbols.Struct // by tag, nil for none
	counts     map[*symbols.Struct][]report.RefCount
}

// siteKey is where an object was allocated: its backtrace, by the depot's
// number, and how many modules had come and gone.
type siteKey struct {
	stack   uint32
	modules int
}

func newTypes() *types {
	t := &types{allocators: map[string]bool{}, sites: map[siteKey][]symbols.Assigned{}, layouts: map[*symbols.Struct]symbols.Pointers{}, named: map[string]*symbols.Struct{}, counts: map[*symbols.Struct][]report.RefCount{}}
	for _, n := range hooks.Names() {
		t.allocators[n] = true
	}
	return t
}

// assigned returns the variables that took an object's address where it was
// allocated.
func (s *Session) assigned(o *object) []symbols.Assigned {
	if o.class == hooks.Pages || !s.tracker.One(o.Object) {
		return nil
	}
	key := siteKey{s.tracker.Stack(o.Object), s.rules.changes(o.Seq)}
	if a, ok := s.types.sites[key]; ok {
		return a
	}
	pcs := s.tracker.Backtrace(o.Object)
	var out []symbols.Assigned
	for _, pc := range pcs[min(1, len(pcs)):] {
		f := s.space.ResolveReturn(pc, o.Seq)
		name, _, _ := strings.Cut(f.Symbol, ".")
		if s.types.allocators[name] {
			continue
		}
		var err error
		if out, err = s.space.AssignedAt(pc, o.Seq); err != nil {
			s.log.Debug("looking for an object's type", "at", f.Symbol, "error", err)
		}
		break
	}
	s.types.sites[key] = out
	return out
}

// cacheStruct returns the structure that a slab cache is named after and fits,
// as those of KMEM_CACHE are and do (include/linux/slab.h); nil for none. A
// cache that is not alone may have taken objects of others in.
func (s *Session) cacheStruct(o *object) *symbols.Struct {
	if o.asked != 0 || o.cache == "" {
		return nil
	}
	st := s.named(o.cache)
	if st == nil || st.Size > o.Size || o.Size-st.Size >= uint64(s.arch.WordSize) {
		return nil
	}
	return st
}

// named returns the structure with a tag, nil where there is none or several.
func (s *Session) named(tag string) *symbols.Struct {
	st, ok := s.types.named[tag]
	if !ok {
		st, _ = s.img.Struct(tag)
		s.types.named[tag] = st
	}
	return st
}

// siteStruct returns the structure that the variable points to that took an
// object's address; nil where that is not known, or not for certain.
func (s *Session) siteStruct(o *object) *symbols.Struct {
	size := o.asked
	if size == 0 {
		size = o.Size // only the slab cache knows
	}
	return chooseStruct(s.assigned(o), size)
}

// chooseStruct takes the structure that an object of so many bytes begins
// with: one of just its size before others, nil where that leaves several.
func chooseStruct(list []symbols.Assigned, size uint64) *symbols.Struct {
	var found *symbols.Struct
	for _, a := range list {
		switch {
		case a.Struct == nil || a.Struct.Size == 0 || a.Struct.Size > size:
		case found == nil || a.Struct.Size == size && found.Size != size:
			found = a.Struct
		case found.Size == size && a.Struct.Size != size:
		case a.Struct != found:
			return nil // one of them, but which?
		}
	}
	return found
}

// structAt returns the structure that an object begins with, nil where that is
// not known. The cache's name goes before the variable: an allocator may first
// use its objects for something else.
func (s *Session) structAt(o *object) *symbols.Struct {
	site, cache := s.siteStruct(o), s.cacheStruct(o)
	switch {
	case cache != nil && (o.alone || site == nil):
		return cache
	case site != nil:
		return site
	case o.asked == 0 && o.cache != "" && o.alone:
		// Some objects end before their type does: a task_struct with the
		// state of the FPU that this CPU has.
		return s.named(o.cache)
	}
	return nil
}

// typeTag returns the tag of the structure that an object is, empty where that
// is not known.
func (s *Session) typeTag(o *object) string {
	if st := s.structAt(o); st != nil {
		_, tag, _ := strings.Cut(st.Tag(), " ")
		return tag
	}
	return ""
}

// typeName names an object's type, empty where it is not known.
func (s *Session) typeName(o *object) string {
	if st := s.structAt(o); st != nil {
		return st.Tag()
	}
	name := ""
	for _, a := range s.assigned(o) {
		switch {
		case a.Struct != nil:
		case name == "" || name == a.Type+" []":
			name = a.Type + " []"
		default:
			return ""
		}
	}
	return name
}

// precise scans again, now by the types of the objects where they are known.
// What the first scan saw to be reachable all the same, res, is noted.
func (s *Session) precise(ctx context.Context, p *picture, res *scanner.Result) (*scanner.Result, error) {
	p.typed = s.setLayouts(p, p.in)
	var err error
	if p.in.Index, err = scanner.NewIndex(p.in.Objects, p.in.WordSize, 0); err != nil {
		return nil, err
	}
	sharp, err := scanner.Scan(ctx, p.in, nil)
	if err != nil {
		return nil, err
	}
	p.hidden = map[int]bool{}
	for i, state := range sharp.States {
		if state != scanner.Reachable && res.States[i] == scanner.Reachable {
			p.hidden[i] = true
		}
	}
	return sharp, nil
}

// maxHiders bounds for how many orphans the word is looked for that hides them.
const maxHiders = 32

// hiddenBy returns a word that refers to an orphan of the precise scan, or to
// what leads to it, and that is no pointer by its type; nil if that is not
// known.
func (s *Session) hiddenBy(p *picture, i int) *report.Reference {
	if p.hiders++; p.hiders > maxHiders {
		return nil
	}
	if p.blunt == nil {
		in := *p.in
		in.Objects, in.Index = slices.Clone(in.Objects), nil
		for k := range in.Objects {
			in.Objects[k].Layout = 0
		}
		p.blunt = &in
	}
	way, err := scanner.Explain(context.Background(), p.blunt, i)
	if err != nil {
		s.log.Debug("looking for what hides an orphan", "error", err)
		return nil
	}
	for _, h := range slices.Backward(way.Hops) {
		if h.Object >= 0 && !h.Edge && !s.mayPoint(p, h.Object, h.Offset) {
			r := s.reference(p, h)
			return &r
		}
	}
	return nil
}

// setLayouts gives objects of in the layouts of their types, and says how
// many have one.
func (s *Session) setLayouts(p *picture, in *scanner.Input) (typed uint64) {
	numbers := map[[2]*symbols.Struct]int32{}
	for i := range p.objects {
		so := &in.Objects[i]
		if so.Parts != nil || so.Flag&(scanner.NoScan|scanner.Ignore) != 0 {
			continue
		}
		is, ok := s.structsOf(p, &p.objects[i])
		if !ok {
			continue
		}
		n, ok := numbers[is]
		if !ok {
			in.Layouts = append(in.Layouts, s.layoutOf(is))
			n = int32(len(in.Layouts))
			numbers[is] = n
		}
		so.Layout = n
		typed++
	}
	return typed
}

// structsOf returns the structures that an object may be, the second nil where
// there is one. Where the slab cache and the variable say two things both
// count; where only a cache says something that has taken others in nothing is
// known.
func (s *Session) structsOf(p *picture, o *object) (is [2]*symbols.Struct, ok bool) {
	if p.mixed == nil {
		p.mixed = s.mixed(p)
	}
	site, cache := s.siteStruct(o), s.cacheStruct(o)
	switch {
	case p.mixed[o.cacheAddr]:
	case site != nil:
		return [2]*symbols.Struct{site, cache}, true
	case cache != nil && o.alone:
		return [2]*symbols.Struct{cache, nil}, true
	}
	return is, false
}

// mixed returns the slab caches that are not named after a structure and of
// one user, but whose objects are taken for several structures: one of these at
// least is not the whole truth.
func (s *Session) mixed(p *picture) map[guestmem.GVA]bool {
	first, mixed := map[guestmem.GVA]*symbols.Struct{}, map[guestmem.GVA]bool{}
	for i := range p.objects {
		o := &p.objects[i]
		if o.asked != 0 || !o.alone || s.cacheStruct(o) != nil {
			continue
		}
		if st := s.siteStruct(o); st != nil {
			if before := first[o.cacheAddr]; before != nil && before != st && before.Tag() != st.Tag() {
				mixed[o.cacheAddr] = true
			}
			first[o.cacheAddr] = st
		}
	}
	return mixed
}

// layoutOf says where pointers can be in what is one of two structures, of
// which the second may be nil. What is behind the smaller one is not known.
func (s *Session) layoutOf(is [2]*symbols.Struct) scanner.Layout {
	a, b := is[0], is[1]
	l := s.pointers(a)
	if b == nil || b == a {
		return layout(l)
	}
	m := s.pointers(b)
	return scanner.Layout{Parts: symbols.MergeRanges(slices.Concat(l.Parts, m.Parts)), Size: min(l.Size, m.Size)}
}

func layout(l symbols.Pointers) scanner.Layout {
	return scanner.Layout{Parts: l.Parts, Size: l.Size, Repeat: l.Repeat, Period: l.Period}
}

// pointers returns where pointers can be in a structure.
func (s *Session) pointers(st *symbols.Struct) symbols.Pointers {
	l, ok := s.types.layouts[st]
	if !ok {
		l = st.Pointers(s.arch.WordSize, kernel.HidesPointer)
		s.types.layouts[st] = l
	}
	return l
}
