package symbols

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/leakvisor/leakvisor/arch"
)

// Assigned is what a function's result is assigned to.
type Assigned struct {
	Variable string // its name
	// Type is what the variable points to, as C writes it. Struct is its
	// layout, nil for what is no structure.
	Type   string
	Struct *Struct
}

// maxEntries bounds the debug entries looked at for one call.
const maxEntries = 1 << 20

// settle is how many bytes behind a call are looked at.
const settle = 48

// AssignedAt returns the variables that take the result of a call, by its
// return address: the pointers, but those to void, that are the first to come
// to be in a register that holds the result. A result that goes elsewhere
// (into a member, to the caller) has none, nor has one that the optimizer
// moved out of sight. They come in the order of their scopes, the outermost
// first.
func (im *Image) AssignedAt(ret uint64) (out []Assigned, err error) {
	key := fmt.Sprintf("%#x", ret)
	known, ok := im.cache.getAssigned(key)
	if !ok {
		if known, err = im.readAssigned(ret); err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		im.cache.putAssigned(key, known)
	}
	for _, k := range known {
		a := Assigned{Variable: k.Variable, Type: k.Type}
		if k.Layout != "" {
			if a.Struct, err = im.layout(k.Layout, k.Type); err != nil {
				return nil, err
			}
		}
		out = append(out, a)
	}
	return out, nil
}

// layout returns the layout that is in the cache under a key, the same one
// each time; nil where the cache has lost it.
func (im *Image) layout(key, name string) (*Struct, error) {
	types, ok := im.cache.getStruct(key)
	if !ok {
		return nil, nil
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	s := im.layouts[key]
	if s == nil {
		var err error
		if s, err = im.newStruct(name, types); err != nil {
			return nil, err
		}
		if im.layouts == nil {
			im.layouts = map[string]*Struct{}
		}
		im.layouts[key] = s
	}
	return s, nil
}

// assignment is an Assigned with the key of its layout in place of that.
type assignment struct {
	Variable string `json:"v"`
	Type     string `json:"t"`
	Layout   string `json:"l,omitempty"`
}

func (im *Image) readAssigned(ret uint64) (out []assignment, err error) {
	defer guard(im.path, &err)()
	di, err := im.debug()
	if err != nil {
		return nil, err
	}
	fn, unit, err := di.functionAt(ret - 1)
	if err != nil {
		return nil, err
	}
	entries, err := di.inRegister(unit, fn, ret, im.follow(ret))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", im.path, ErrCorrupt, err)
	}
	for _, e := range entries {
		a, err := di.pointee(e)
		if err != nil {
			return nil, err
		}
		if a.Type != "" {
			out = append(out, a)
		}
	}
	return out, nil
}

// function is a function with code of its own.
type function struct {
	Range
	off dwarf.Offset
}

// functionAt finds the debug entry of the function with code at an address,
// and of its unit.
func (di *debugInfo) functionAt(addr uint64) (fn dwarf.Offset, unit *dwarf.Entry, err error) {
	u, ok := di.unitAt(addr)
	if !ok {
		return 0, nil, di.im.notFound("function at", fmt.Sprintf("%#x", addr))
	}
	if unit, err = di.unitEntries(di.units[u]).next(); err != nil || unit == nil {
		return 0, nil, fmt.Errorf("%s: %w: a unit has no entry: %w", di.im.path, ErrCorrupt, err)
	}
	di.im.mu.Lock()
	defer di.im.mu.Unlock()
	fns, ok := di.functions[u]
	if !ok {
		if fns, err = di.unitFunctions(di.units[u]); err != nil {
			return 0, nil, fmt.Errorf("%s: %w: %w", di.im.path, ErrCorrupt, err)
		}
		if di.functions == nil {
			di.functions = map[int][]function{}
		}
		di.functions[u] = fns
	}
	i := sort.Search(len(fns), func(i int) bool { return fns[i].Start > addr }) - 1
	if i < 0 || addr >= fns[i].End {
		return 0, nil, di.im.notFound("function at", fmt.Sprintf("%#x", addr))
	}
	return fns[i].off, unit, nil
}

func (di *debugInfo) unitFunctions(u unit) ([]function, error) {
	var out []function
	err := di.topLevel(u, func(_ *entries, e *dwarf.Entry) (bool, error) {
		if e.Tag != dwarf.TagSubprogram {
			return false, nil
		}
		ranges, err := di.data.Ranges(e)
		for _, r := range ranges {
			if r[0] < r[1] {
				out = append(out, function{Range{Start: r[0], End: r[1]}, e.Offset})
			}
		}
		return false, err
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Start < out[j].Start })
	return out, err
}

// follow returns where the result of a call that returns to ret is, by their
// DWARF numbers: the registers at each address behind it.
func (im *Image) follow(ret uint64) map[uint64][]uint64 {
	held := []arch.Held{{Registers: []string{im.arch.Call.Result}}}
	if f, ok := im.arch.Text.(arch.Follower); ok {
		code := make([]byte, settle)
		for len(code) > 0 && im.Read(ret, code) != nil {
			code = code[:len(code)/2]
		}
		held = f.Follow(code, im.arch.Call.Result)
	}
	out := map[uint64][]uint64{}
	for _, h := range held {
		for _, name := range h.Registers {
			if r, ok := im.arch.Reg(name); ok && r.DWARF >= 0 {
				out[ret+uint64(h.Offset)] = append(out[ret+uint64(h.Offset)], uint64(r.DWARF))
			}
		}
	}
	return out
}

// inRegister lists the variables of a function that are first to come to be
// in one of the registers held, behind a call that returns to pc.
func (di *debugInfo) inRegister(unit *dwarf.Entry, fn dwarf.Offset, pc uint64, held map[uint64][]uint64) (out []*dwarf.Entry, err error) {
	first := pc + settle
	r := di.someEntries(maxEntries)
	e, err := r.at(fn)
	if err != nil || !e.Children {
		return nil, err
	}
	for depth := 1; depth > 0; {
		if e, err = r.next(); err != nil || e == nil {
			return out, err
		}
		switch e.Tag {
		case 0:
			depth--
			continue
		case dwarf.TagLexDwarfBlock, dwarf.TagInlinedSubroutine:
			inside := false
			ranges, err := di.data.Ranges(e)
			if err != nil {
				return nil, err
			}
			for _, rg := range ranges {
				inside = inside || rg[0] < pc && pc <= rg[1]
			}
			if inside && e.Children {
				depth++
				continue
			}
		case dwarf.TagVariable, dwarf.TagFormalParameter:
			for _, l := range di.locations(unit, e) {
				in := func(reg uint64) bool { return isRegister(l.expr, reg) }
				if l.Start > first || !slices.ContainsFunc(held[l.Start], in) {
					continue
				}
				if l.Start < first {
					first, out = l.Start, nil
				}
				out = append(out, e)
				break
			}
		}
		if err := r.skipChildren(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// isRegister says whether an expression is one register: DW_OP_reg0 to 31,
// or DW_OP_regx (DWARF 5 section 2.6.1.1.3).
func isRegister(expr []byte, reg uint64) bool {
	const reg0, regx = 0x50, 0x90
	switch {
	case len(expr) == 1 && reg < 32:
		return uint64(expr[0]) == reg0+reg
	case len(expr) > 1 && expr[0] == regx:
		l := cursor{b: expr[1:]}
		return l.uleb() == reg && !l.bad && len(l.b) == 0
	}
	return false
}

// pointee describes what the variable points to; an empty type says that it
// is no pointer.
func (di *debugInfo) pointee(e *dwarf.Entry) (a assignment, err error) {
	t := di.newTypeReader()
	for range 4 { // inlined and cloned functions' variables have an origin
		if a.Variable == "" {
			a.Variable, _ = e.Val(dwarf.AttrName).(string)
		}
		if _, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
			break
		}
		origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			return a, nil
		}
		if e, err = t.entry(origin); err != nil {
			return a, err
		}
	}
	off, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return a, nil
	}
	for range maxTypeDepth {
		if e, err = t.entry(off); err != nil {
			return a, err
		}
		off, ok = e.Val(dwarf.AttrType).(dwarf.Offset)
		switch e.Tag {
		case dwarf.TagTypedef, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
			if !ok {
				return a, nil
			}
			continue
		case dwarf.TagPointerType:
			if !ok {
				return a, nil
			}
			return a, di.target(t, off, &a)
		}
		return a, nil
	}
	return a, nil
}

// target describes the type at off, and reads its layout if it is a
// structure.
func (di *debugInfo) target(t *typeReader, off dwarf.Offset, a *assignment) error {
	d, err := t.describe(off, 0)
	if err != nil {
		return err
	}
	a.Type = d.name
	if d.agg == 0 || d.dims != nil {
		return nil
	}
	e, err := t.entry(d.agg)
	if err != nil {
		return err
	}
	if declared, _ := e.Val(dwarf.AttrDeclaration).(bool); declared {
		return nil
	}
	key := fmt.Sprintf("@%#x", d.agg)
	if _, ok := di.im.cache.getStruct(key); !ok {
		types, err := di.readAggregate(d.agg)
		if err != nil {
			return err
		}
		di.im.cache.putStruct(key, types)
	}
	a.Layout = key
	return nil
}
