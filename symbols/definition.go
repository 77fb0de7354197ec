package symbols

import (
	"debug/dwarf"
	"fmt"
	"runtime"
	"strings"
)

// definition is where a type is defined.
type definition struct {
	off  dwarf.Offset
	line int64 // of the source, zero if not known
	size uint64
	// differs is a definition of the same name with another size or line.
	differs *definition
}

// definitions are all types of an image, by name: structures and unions
// ("struct" is not part of it), and typedefs.
type definitions struct {
	tagged, typedefs map[string]*definition
}

// readStruct finds a type and reads its layout.
func (im *Image) readStruct(name string, near []string) (types []aggregate, err error) {
	defer guard(im.path, &err)()
	di, err := im.debug()
	if err != nil {
		return nil, err
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "struct "), "union ")
	if name == "" {
		return nil, im.notFound("type", name)
	}
	for _, u := range di.unitsOf(near) {
		off, err := di.findType(di.units[u], name)
		if err != nil {
			return nil, err
		}
		if off != 0 {
			return di.readAggregate(off)
		}
	}
	defs, err := di.definitions()
	if err != nil {
		return nil, err
	}
	def := defs.tagged[name]
	if def == nil {
		def = defs.typedefs[name]
	}
	if def == nil {
		return nil, im.notFound("type", name)
	}
	if d := def.differs; d != nil {
		return nil, fmt.Errorf("%s: %w", im.path, &AmbiguousError{Name: name,
			What: fmt.Sprintf("definitions of %d and %d bytes, at lines %d and %d", def.size, d.size, def.line, d.line)})
	}
	off, err := di.resolve(def.off)
	if err != nil {
		return nil, err
	}
	if off == 0 {
		return nil, im.notFound("structure", name)
	}
	return di.readAggregate(off)
}

// isType says what kind of definition of a name an entry is.
func isType(e *dwarf.Entry) (name string, tagged, typedef bool) {
	switch e.Tag {
	case dwarf.TagStructType, dwarf.TagClassType, dwarf.TagUnionType:
		if d, _ := e.Val(dwarf.AttrDeclaration).(bool); d {
			return "", false, false
		}
		tagged = true
	case dwarf.TagTypedef:
		typedef = true
	default:
		return "", false, false
	}
	name, _ = e.Val(dwarf.AttrName).(string)
	return name, tagged, typedef
}

// findType returns the entry of the structure or union that name stands for
// in a unit, zero if there is none.
func (di *debugInfo) findType(u unit, name string) (dwarf.Offset, error) {
	var found, typedefs dwarf.Offset
	err := di.topLevel(u, func(_ *entries, e *dwarf.Entry) (bool, error) {
		if n, tagged, typedef := isType(e); n == name {
			if tagged {
				found = e.Offset
				return false, errStop
			}
			if typedef {
				typedefs = e.Offset
			}
		}
		return false, nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %w", di.im.path, ErrCorrupt, err)
	}
	if found != 0 || typedefs == 0 {
		return found, nil
	}
	return di.resolve(typedefs)
}

// resolve follows a typedef to the structure or union that it names, zero if
// it names none or one that is only declared.
func (di *debugInfo) resolve(off dwarf.Offset) (dwarf.Offset, error) {
	t := di.newTypeReader()
	d, err := t.describe(off, 0)
	if err != nil || d.agg == 0 || d.dims != nil {
		return 0, err
	}
	e, err := t.entry(d.agg)
	if err != nil {
		return 0, err
	}
	if declared, _ := e.Val(dwarf.AttrDeclaration).(bool); declared {
		return 0, nil
	}
	return d.agg, nil
}

// definitions lists the types of the whole file, once. It takes about a
// second for a distribution's vmlinux.
func (di *debugInfo) definitions() (*definitions, error) {
	di.defsOnce.Do(func() {
		workers := min(runtime.GOMAXPROCS(0), 8)
		parts := make([]definitions, workers)
		for i := range parts {
			parts[i] = definitions{map[string]*definition{}, map[string]*definition{}}
		}
		di.defsErr = di.eachUnit(workers, func(w int, u unit) error {
			return di.topLevel(u, func(_ *entries, e *dwarf.Entry) (bool, error) {
				name, tagged, typedef := isType(e)
				if name == "" {
					return false, nil
				}
				d := &definition{off: e.Offset, size: unsigned(e, dwarf.AttrByteSize)}
				d.line, _ = e.Val(dwarf.AttrDeclLine).(int64)
				if tagged {
					addDefinition(parts[w].tagged, name, d)
				} else if typedef {
					addDefinition(parts[w].typedefs, name, d)
				}
				return false, nil
			})
		})
		for _, p := range parts[1:] {
			for name, d := range p.tagged {
				addDefinition(parts[0].tagged, name, d)
			}
			for name, d := range p.typedefs {
				addDefinition(parts[0].typedefs, name, d)
			}
		}
		di.defs = &parts[0]
	})
	return di.defs, di.defsErr
}

// addDefinition keeps the first definition in the file, so that the result
// does not depend on which worker was faster.
func addDefinition(m map[string]*definition, name string, d *definition) {
	old := m[name]
	if old == nil {
		m[name] = d
		return
	}
	differs := old.differs
	switch {
	case d.differs != nil:
		differs = d.differs
	case d.size != old.size || d.line != old.line:
		differs = d
	}
	if d.off < old.off {
		if differs == d {
			differs = old
		}
		old, m[name] = d, d
	}
	old.differs = differs
}
