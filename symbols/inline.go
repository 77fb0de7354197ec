package symbols

import (
	"debug/dwarf"
	"fmt"
	"slices"
)

// Inlined returns the code ranges where a function was inlined, in the units
// of source code that the functions near are from; without near, that which
// defines the function itself, where it has code of its own too. No copies
// are no error, but a function that does not exist there is: it wraps
// ErrNotFound.
func (im *Image) Inlined(name string, near ...string) ([]Range, error) {
	key := cacheKey(name, near)
	if r, ok := im.cache.getInlined(key); ok {
		if r == nil {
			return nil, im.notFound("function", name)
		}
		return slices.Clone(r), nil
	}
	r, err := im.readInlined(name, near)
	if known(err) {
		im.cache.putInlined(key, r)
	}
	return slices.Clone(r), err
}

func (im *Image) readInlined(name string, near []string) (out []Range, err error) {
	defer guard(im.path, &err)()
	di, err := im.debug()
	if err != nil {
		return nil, err
	}
	if len(near) == 0 {
		near = []string{name}
	}
	for _, u := range di.unitsOf(near) {
		found, ranges, err := di.inlinedIn(di.units[u], name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", im.path, ErrCorrupt, err)
		}
		if found && out == nil {
			out = []Range{}
		}
		out = append(out, ranges...)
	}
	if out == nil {
		return nil, im.notFound("function", name)
	}
	slices.SortFunc(out, func(a, b Range) int {
		if a.Start < b.Start {
			return -1
		}
		return 1
	})
	return slices.Compact(out), nil
}

// inlinedIn finds the inlined copies of a function in one unit. Found says
// that the unit knows the function at all.
func (di *debugInfo) inlinedIn(u unit, name string) (found bool, out []Range, err error) {
	origins := map[dwarf.Offset]bool{}
	err = di.topLevel(u, func(_ *entries, e *dwarf.Entry) (bool, error) {
		if n, _ := e.Val(dwarf.AttrName).(string); e.Tag == dwarf.TagSubprogram && n == name {
			origins[e.Offset] = true
		}
		return false, nil
	})
	if err != nil || len(origins) == 0 {
		return false, nil, err
	}
	r := di.unitEntries(u)
	for {
		e, err := r.next()
		if err != nil || e == nil {
			return true, out, err
		}
		if e.Tag != dwarf.TagInlinedSubroutine {
			continue
		}
		if origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); !ok || !origins[origin] {
			continue
		}
		ranges, err := di.data.Ranges(e)
		if err != nil {
			return true, nil, err
		}
		for _, rg := range ranges {
			if rg[1] > rg[0] {
				out = append(out, Range{Start: rg[0], End: rg[1]})
			}
		}
	}
}
