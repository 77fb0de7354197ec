package symbols

import (
	"debug/dwarf"
	"fmt"
	"runtime"
)

// enumerator is a constant of an enumeration.
type enumerator struct {
	value   int64
	differs bool // there is another one of the name with another value
	other   int64
}

// Enum returns the value of an enumeration's constant. Near works as in
// Struct. It wraps ErrNotFound, and AmbiguousError where the whole file is
// searched and has several values.
func (im *Image) Enum(name string, near ...string) (int64, error) {
	key := cacheKey(name, near)
	if v, ok := im.cache.getEnum(key); ok {
		if v == nil {
			return 0, im.notFound("constant", name)
		}
		return *v, nil
	}
	v, err := im.readEnum(name, near)
	if err == nil {
		im.cache.putEnum(key, &v)
	} else if known(err) {
		im.cache.putEnum(key, nil)
	}
	return v, err
}

func (im *Image) readEnum(name string, near []string) (v int64, err error) {
	defer guard(im.path, &err)()
	di, err := im.debug()
	if err != nil {
		return 0, err
	}
	for _, u := range di.unitsOf(near) {
		found := false
		err := di.enumerators(di.units[u], func(n string, value int64) error {
			if n != name {
				return nil
			}
			v, found = value, true
			return errStop
		})
		if err != nil {
			return 0, fmt.Errorf("%s: %w: %w", im.path, ErrCorrupt, err)
		}
		if found {
			return v, nil
		}
	}
	all, err := di.allEnumerators()
	if err != nil {
		return 0, err
	}
	e, ok := all[name]
	if !ok {
		return 0, im.notFound("constant", name)
	}
	if e.differs {
		return 0, fmt.Errorf("%s: %w", im.path, &AmbiguousError{Name: name, What: fmt.Sprintf("values %d and %d", e.value, e.other)})
	}
	return e.value, nil
}

// enumerators calls fn for each constant of the enumerations at the top level
// of a unit.
func (di *debugInfo) enumerators(u unit, fn func(name string, value int64) error) error {
	return di.topLevel(u, func(r *entries, e *dwarf.Entry) (bool, error) {
		if e.Tag != dwarf.TagEnumerationType || !e.Children {
			return false, nil
		}
		for {
			c, err := r.next()
			if err != nil {
				return true, err
			}
			if c == nil || c.Tag == 0 {
				return true, nil
			}
			name, _ := c.Val(dwarf.AttrName).(string)
			value, ok := c.Val(dwarf.AttrConstValue).(int64)
			if err := r.skipChildren(c); err != nil {
				return true, err
			}
			if c.Tag != dwarf.TagEnumerator || !ok {
				continue
			}
			if err := fn(name, value); err != nil {
				return true, err
			}
		}
	})
}

// allEnumerators lists the constants of the whole file, once.
func (di *debugInfo) allEnumerators() (map[string]enumerator, error) {
	di.enumsOnce.Do(func() {
		workers := min(runtime.GOMAXPROCS(0), 8)
		parts := make([]map[string]enumerator, workers)
		for i := range parts {
			parts[i] = map[string]enumerator{}
		}
		di.enumsErr = di.eachUnit(workers, func(w int, u unit) error {
			return di.enumerators(u, func(name string, value int64) error {
				addEnumerator(parts[w], name, enumerator{value: value})
				return nil
			})
		})
		for _, p := range parts[1:] {
			for name, e := range p {
				addEnumerator(parts[0], name, e)
			}
		}
		di.enums = parts[0]
	})
	return di.enums, di.enumsErr
}

func addEnumerator(m map[string]enumerator, name string, e enumerator) {
	old, ok := m[name]
	switch {
	case !ok:
		m[name] = e
	case old.differs:
	case e.differs:
		m[name] = e
	case e.value != old.value:
		m[name] = enumerator{value: min(old.value, e.value), other: max(old.value, e.value), differs: true}
	}
}
