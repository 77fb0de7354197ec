package symbols

import "debug/dwarf"

// Bounds on a type's name: how many pointers and qualifiers are followed, and
// its length.
const (
	maxNameDepth   = 8
	maxTypeNameLen = 256
)

// name writes a type as C does.
func (t *typeReader) name(off dwarf.Offset, depth int) string {
	if depth > maxNameDepth {
		return "..."
	}
	e, err := t.entry(off)
	if err != nil {
		return "?"
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	target, typed := e.Val(dwarf.AttrType).(dwarf.Offset)
	inner := "void"
	switch e.Tag {
	case dwarf.TagPointerType, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType,
		dwarf.TagAtomicType, dwarf.TagSubroutineType, dwarf.TagArrayType:
		if typed {
			inner = t.name(target, depth+1)
		}
	}
	switch e.Tag {
	case dwarf.TagPointerType:
		return pointerTo(inner)
	case dwarf.TagSubroutineType:
		return inner + " ()"
	case dwarf.TagArrayType:
		return inner + " []"
	case dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
		return qualified(e.Tag, "", inner)
	case dwarf.TagStructType, dwarf.TagClassType:
		name = "struct " + name
	case dwarf.TagUnionType:
		name = "union " + name
	case dwarf.TagEnumerationType:
		name = "enum " + name
	}
	return name
}

// pointerTo writes a pointer to a type: "void *", "char **", "int (*)()".
func pointerTo(name string) string {
	n := len(name)
	switch {
	case n > maxTypeNameLen:
		return name
	case n > 2 && name[n-2:] == "()":
		return name[:n-2] + "(*)()"
	case n > 0 && name[n-1] == '*':
		return name + "*"
	}
	return name + " *"
}

func qualified(tag dwarf.Tag, name, inner string) string {
	switch tag {
	case dwarf.TagTypedef:
		return name
	case dwarf.TagConstType:
		return qualify("const", inner)
	case dwarf.TagVolatileType:
		return qualify("volatile", inner)
	case dwarf.TagRestrictType:
		return qualify("restrict", inner)
	}
	return qualify("_Atomic", inner)
}

// qualify puts a qualifier where it belongs: before a plain type, after a
// pointer.
func qualify(word, inner string) string {
	if n := len(inner); n > 0 && inner[n-1] == '*' {
		return inner + " " + word
	}
	return word + " " + inner
}
