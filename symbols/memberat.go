package symbols

import "strconv"

// Member is what lies at an offset in a structure.
type Member struct {
	Path string // as Field takes it
	Type string // of what the path names
	// Offset is how far behind its start the place is, in bytes.
	Offset  uint64
	Pointer bool // whether it is a pointer
}

// MemberAt names the innermost member that has the byte at an offset. Of the
// members of a union it takes one that has a pointer starting there, or else
// the first that is large enough. Where there is none, in padding or behind
// the end, ok is false.
func (s *Struct) MemberAt(offset uint64) (m Member, ok bool) {
	steps := 0
	return s.memberAt(0, offset, 0, &steps)
}

func (s *Struct) memberAt(i int, offset uint64, depth int, steps *int) (best Member, ok bool) {
	if i >= len(s.types) || depth > maxTypeDepth {
		return best, false
	}
	members := s.types[i].Members
	for k := range members {
		m := &members[k]
		if *steps++; *steps > maxParts || m.Offset > offset {
			continue
		}
		at := offset - m.Offset
		endless := len(m.Dims) > 0 && m.Dims[0] == 0 && m.Elem > 0 && k == len(members)-1
		if at >= m.Size && !endless {
			continue
		}
		found, inside := s.inMember(m, at, depth, steps)
		if !inside {
			continue
		}
		if !ok || found.Pointer && found.Offset == 0 && !(best.Pointer && best.Offset == 0) {
			best, ok = found, true
		}
	}
	return best, ok
}

// inMember names what is at an offset in a member.
func (s *Struct) inMember(m *member, at uint64, depth int, steps *int) (Member, bool) {
	out := Member{Path: m.Name, Type: m.Type, Offset: at, Pointer: m.Kind == kindPointer && m.BitSize == 0}
	if len(m.Dims) > 0 && m.Elem > 0 {
		n := at / m.Elem
		out.Offset = at % m.Elem
		index := ""
		for d := len(m.Dims) - 1; d >= 0; d-- {
			k := n
			if d > 0 && m.Dims[d] > 0 {
				k, n = n%m.Dims[d], n/m.Dims[d]
			}
			index = "[" + strconv.FormatUint(k, 10) + "]" + index
		}
		out.Path += index
	}
	if m.Inner == 0 {
		return out, true
	}
	in, ok := s.memberAt(m.Inner, out.Offset, depth+1, steps)
	if !ok {
		return out, out.Path != "" // padding of it
	}
	if in.Path != "" && out.Path != "" {
		in.Path = out.Path + "." + in.Path
	} else if in.Path == "" {
		in.Path = out.Path
	}
	return in, true
}

// Leaf is a member that is no structure, or an array of such.
type Leaf struct {
	Member
	At   uint64 // in the structure
	Size uint64 // bytes
	// BitOffset and BitSize are as in Field.
	BitOffset, BitSize uint64
}

// Leaves lists at most n members that are no structures, in their order, of
// unions the one that MemberAt takes.
func (s *Struct) Leaves(n int) []Leaf {
	var out []Leaf
	steps := 0
	s.leaves(0, "", 0, 0, n, &steps, &out)
	return out
}

func (s *Struct) leaves(i int, prefix string, at uint64, depth, n int, steps *int, out *[]Leaf) {
	if i >= len(s.types) || depth > maxTypeDepth {
		return
	}
	a := &s.types[i]
	members := a.Members
	if a.Union && len(members) > 1 {
		first := 0
		for k := range members {
			if in, ok := s.inMember(&members[k], 0, depth, steps); ok && in.Pointer {
				first = k
				break
			}
		}
		members = members[first : first+1]
	}
	for k := range members {
		m := &members[k]
		if *steps++; *steps > maxParts || len(*out) >= n {
			return
		}
		path := prefix + m.Name
		switch {
		case m.Inner != 0 && len(m.Dims) == 0:
			if m.Name != "" {
				path += "."
			}
			s.leaves(m.Inner, path, at+m.Offset, depth+1, n, steps, out)
		case m.Inner != 0: // an array of structures is too much to list
		case m.Size > 0:
			typ := m.Type
			for _, d := range m.Dims {
				typ += "[" + strconv.FormatUint(d, 10) + "]"
			}
			*out = append(*out, Leaf{
				Member: Member{Path: path, Type: typ, Pointer: m.Kind == kindPointer && len(m.Dims) == 0},
				At:     at + m.Offset, Size: m.Size, BitOffset: m.BitOffset, BitSize: m.BitSize,
			})
		}
	}
}
