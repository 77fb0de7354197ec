package symbols

import (
	"fmt"
	"strconv"
	"strings"
)

// Struct is the layout of a structure or union.
type Struct struct {
	Name  string
	Size  uint64 // bytes
	Union bool

	im    string
	types []aggregate // the first is the structure itself
}

// Struct returns the layout of a structure, union, or typedef of one. Of its
// definitions that count which is seen by the functions near, in their order:
// the units of source code that these are from are looked at first, quickly.
// Without near, or if it is not defined there, the whole file is searched,
// and definitions that differ are an AmbiguousError. Functions near that do
// not exist are passed over. It wraps ErrNotFound and ErrNoDebugInfo.
func (im *Image) Struct(name string, near ...string) (*Struct, error) {
	key := cacheKey(name, near)
	if types, ok := im.cache.getStruct(key); ok {
		return im.newStruct(name, types)
	}
	types, err := im.readStruct(name, near)
	if known(err) {
		im.cache.putStruct(key, types)
	}
	if err != nil {
		return nil, err
	}
	return im.newStruct(name, types)
}

// newStruct makes the face of a layout; without one, the error.
func (im *Image) newStruct(name string, types []aggregate) (*Struct, error) {
	if len(types) == 0 {
		return nil, im.notFound("type", name)
	}
	return &Struct{Name: name, Size: types[0].Size, Union: types[0].Union, im: im.path, types: types}, nil
}

// Tag names the type as C does where it has a tag: "struct inode".
func (s *Struct) Tag() string {
	switch a := &s.types[0]; {
	case a.Name == "":
		return s.Name
	case a.Union:
		return "union " + a.Name
	default:
		return "struct " + a.Name
	}
}

// Has says whether the structure has a member; see Field.
func (s *Struct) Has(path string) bool {
	_, err := s.Field(path)
	return err == nil
}

// Field finds a member by its path as C writes it: "list", "thread.sp",
// "mem[2].base". Members of anonymous structures and unions are the
// structure's own. It wraps ErrNotFound.
func (s *Struct) Field(path string) (Field, error) {
	f, err := s.field(path)
	if err != nil {
		return Field{}, fmt.Errorf("%s: member %s of %s: %w", s.im, path, s.Name, err)
	}
	return f, nil
}

func (s *Struct) field(path string) (Field, error) {
	var f Field
	in := 0
	for rest := path; ; {
		if in < 0 {
			return f, fmt.Errorf("%w: what comes before %q is no structure", ErrNotFound, rest)
		}
		part, more, deeper := strings.Cut(rest, ".")
		name, index, err := splitIndex(part)
		if err != nil {
			return f, err
		}
		offset, m := s.find(in, name, map[int]bool{})
		if m == nil {
			return f, ErrNotFound
		}
		dims := m.Dims
		base := f.Offset + offset
		size, elem := m.Size, m.Elem
		for _, i := range index {
			if len(dims) == 0 {
				return f, fmt.Errorf("%w: %s is no array of so many dimensions", ErrNotFound, name)
			}
			if dims[0] > 0 && i >= dims[0] {
				return f, fmt.Errorf("%w: index %d of %d elements", ErrNotFound, i, dims[0])
			}
			size = elem
			for _, n := range dims[1:] {
				size *= n
			}
			dims = dims[1:]
			base += i * size
		}
		f = Field{Offset: base, Size: size, BitOffset: m.BitOffset, BitSize: m.BitSize, Type: m.Type}
		for _, n := range dims {
			if n == 0 {
				f.Type += "[]"
			} else {
				f.Type += "[" + strconv.FormatUint(n, 10) + "]"
			}
		}
		if len(dims) > 0 {
			f.Count = dims[0]
		}
		if !deeper {
			return f, nil
		}
		rest, in = more, -1
		if m.Inner > 0 && len(dims) == 0 {
			in = m.Inner
		}
	}
}

// find looks for a member by name in an aggregate and its anonymous members.
// Seen keeps a hostile layout from being walked along all of its paths.
func (s *Struct) find(in int, name string, seen map[int]bool) (uint64, *member) {
	if in >= len(s.types) || seen[in] {
		return 0, nil
	}
	seen[in] = true
	members := s.types[in].Members
	for i := range members {
		if m := &members[i]; m.Name == name {
			return m.Offset, m
		}
	}
	for i := range members {
		m := &members[i]
		if m.Name != "" || m.Inner == 0 {
			continue
		}
		if off, found := s.find(m.Inner, name, seen); found != nil {
			return m.Offset + off, found
		}
	}
	return 0, nil
}

// splitIndex takes "name[1][2]" apart.
func splitIndex(part string) (name string, index []uint64, err error) {
	name, rest, _ := strings.Cut(part, "[")
	if name == "" {
		return "", nil, fmt.Errorf("%w: an empty name in the path", ErrNotFound)
	}
	for more := name != part; more; {
		var num string
		num, rest, more = strings.Cut(rest, "[")
		num, ok := strings.CutSuffix(num, "]")
		n, err := strconv.ParseUint(num, 0, 32)
		if !ok || err != nil {
			return "", nil, fmt.Errorf("%w: %q is no index", ErrNotFound, num)
		}
		index = append(index, n)
	}
	return name, index, nil
}
