package symbols

import (
	"fmt"
	"testing"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

// shapes has the types that the tests below are about, for words of 8 bytes.
func shapes() []aggregate {
	word := member{Type: "unsigned long", Size: 8, Kind: kindInteger}
	ptr := member{Type: "void *", Size: 8, Kind: kindPointer}
	at := func(m member, name string, off uint64) member {
		m.Name, m.Offset = name, off
		return m
	}
	array := func(m member, name string, off, n uint64) member {
		m = at(m, name, off)
		m.Elem, m.Dims, m.Size = m.Size, []uint64{n}, m.Size*n
		return m
	}
	char := member{Type: "char", Size: 1, Kind: kindInteger}
	half := member{Type: "int", Size: 4, Kind: kindInteger}
	return []aggregate{
		{}, // takes the place of what is tested
		{Name: "list_head", Size: 16, Members: []member{at(ptr, "next", 0), at(ptr, "prev", 8)}},
		{Name: "rb_node", Size: 24, Members: []member{at(word, "__rb_parent_color", 0), at(ptr, "rb_right", 8), at(ptr, "rb_left", 16)}},
		{Union: true, Size: 8, Members: []member{at(word, "number", 0), at(ptr, "pointer", 0)}},
		{Name: "pair", Size: 16, Members: []member{at(word, "key", 0), at(ptr, "value", 8)}},
		{Name: "opaque", Size: 8},
		{Name: "ends", Size: 8, Members: []member{at(word, "n", 0), array(ptr, "tail", 8, 0)}},
		{Name: "scalars", Size: 32, Members: []member{at(word, "a", 0), array(half, "b", 8, 4), at(member{Size: 8, Kind: kindNumber}, "c", 24)}},
		{Name: "storage", Size: 48, Members: []member{array(char, "cb", 0, 16), at(half, "x", 16), array(word, "priv", 24, 2), at(half, "y", 40)}},
	}
}

func TestPointers(t *testing.T) {
	all := shapes()
	inner := func(i int, name string, off uint64) member {
		return member{Name: name, Offset: off, Size: all[i].Size, Inner: i}
	}
	many := inner(4, "many", 8)
	many.Elem, many.Dims, many.Size = 16, []uint64{3}, 48
	flexible := inner(4, "tail", 8)
	flexible.Elem, flexible.Dims, flexible.Size = 16, []uint64{0}, 0
	word := member{Name: "n", Size: 8, Kind: kindInteger, Type: "unsigned long"}
	mark := member{Name: "mark", Elem: 1, Dims: []uint64{0}, Kind: kindInteger}
	slots := member{Name: "slots", Elem: 8, Dims: []uint64{0}, Kind: kindPointer}
	wrapped := flexible
	wrapped.Offset = 0
	tests := []struct {
		name string
		top  aggregate
		want string
	}{
		{"list head", aggregate{Size: 32, Members: []member{word, inner(1, "list", 8), {Name: "m", Offset: 24, Size: 8, Kind: kindInteger}}}, "[8,24) of 32"},
		{"known encoding", aggregate{Size: 24, Members: []member{inner(2, "node", 0)}}, "[0,24) of 24"},
		{"union", aggregate{Size: 16, Members: []member{word, inner(3, "", 8)}}, "[8,16) of 16"},
		{"array of structures", aggregate{Size: 56, Members: []member{word, many}}, "[16,24) [32,40) [48,56) of 56"},
		{"flexible array", aggregate{Size: 8, Members: []member{word, flexible}}, "of 8, then [8,16) of each 16"},
		{"flexible array in an anonymous structure", aggregate{Size: 8, Members: []member{word, {Offset: 8, Inner: 9}}}, "of 8, then [8,16) of each 16"},
		{"flexible array of pointers", aggregate{Size: 16, Members: []member{word, inner(6, "in", 8)}}, "of 16"},
		{"opaque", aggregate{Size: 16, Members: []member{word, inner(5, "o", 8)}}, "[8,16) of 16"},
		{"no pointers", aggregate{Size: 32, Members: []member{inner(7, "s", 0)}}, "of 32"},
		{"raw storage", aggregate{Size: 48, Members: []member{inner(8, "s", 0)}}, "[0,16) [24,40) of 48"},
		{"bit field", aggregate{Size: 8, Members: []member{{Name: "b", Size: 8, BitSize: 3, Kind: kindPointer}}}, "of 8"},
		{"mark", aggregate{Size: 16, Members: []member{word, mark, {Name: "m", Offset: 8, Size: 8, Kind: kindInteger}}}, "of 16"},
		{"slots over what follows", aggregate{Size: 24, Members: []member{{Name: "slots", Offset: 8, Elem: slots.Elem, Dims: slots.Dims, Kind: kindPointer}, {Name: "m", Offset: 8, Size: 16, Kind: kindInteger}}}, "[8,24) of 24"},
		{"unknown", aggregate{Size: 8, Members: []member{{Name: "x", Size: 8}}}, "[0,8) of 8"},
	}
	holds := func(tag, name string) bool { return tag == "rb_node" && name == "__rb_parent_color" }
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			types := append(shapes(), aggregate{Members: []member{wrapped}})
			types[0] = tt.top
			s := &Struct{Size: tt.top.Size, types: types}
			if got := describe(s.Pointers(8, holds)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	// What a hostile file can make of it is still something.
	loop := []aggregate{{Size: 8, Members: []member{{Inner: 1, Size: 8}, {Inner: 1, Size: 8}}}, {Size: 8, Members: []member{{Inner: 1, Size: 8}, {Inner: 1, Size: 8}}}}
	if got := describe((&Struct{Size: 8, types: loop}).Pointers(8, holds)); got != "[0,8) of 8" {
		t.Errorf("a structure that contains itself: %s", got)
	}
}

func describe(p Pointers) (s string) {
	for _, r := range p.Parts {
		s += fmt.Sprintf("[%d,%d) ", r.Start, r.End)
	}
	s += fmt.Sprintf("of %d", p.Size)
	if p.Period > 0 {
		s += ", then "
		for _, r := range p.Repeat {
			s += fmt.Sprintf("[%d,%d) ", r.Start, r.End)
		}
		s += fmt.Sprintf("of each %d", p.Period)
	}
	return s
}

// TestVMLinuxAssigned looks at who takes the result of the allocator in some
// functions of a stock kernel.
func TestVMLinuxAssigned(t *testing.T) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		im, err := Open(g.VMLinux, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer im.Close()
		for _, c := range []struct{ function, typ string }{
			{"__d_alloc", "struct dentry"},
			{"vm_area_alloc", "struct vm_area_struct"},
			{"__kernfs_new_node", "struct kernfs_node"},
			{"alloc_inode", "struct inode"},
			{"cdev_alloc", "struct cdev"},
			{"alloc_pid", "struct pid"},
		} {
			var found []string
			for _, ret := range callsToAllocators(t, im, c.function) {
				list, err := im.AssignedAt(ret)
				if err != nil {
					t.Errorf("%s: %v", c.function, err)
				}
				for _, a := range list {
					if a.Struct != nil && a.Type == c.typ && a.Struct.Size > 0 {
						found = append(found, a.Variable)
					}
				}
			}
			if len(found) == 0 {
				t.Errorf("%s: nothing of type %s takes what it allocates", c.function, c.typ)
			}
		}
		if list, err := im.AssignedAt(1); err != nil || list != nil {
			t.Errorf("at an address of nothing: %v, %v", list, err)
		}
	})
}

// callsToAllocators returns the return addresses of a function's calls, by
// their opcode (x86: e8 and a displacement of 32 bits).
func callsToAllocators(t *testing.T, im *Image, function string) (out []uint64) {
	t.Helper()
	f, err := im.Func(function)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Entries {
		code := make([]byte, s.Size)
		if err := im.Read(s.Addr, code); err != nil {
			t.Fatal(err)
		}
		for i := 0; i+5 <= len(code); i++ {
			to := s.Addr + uint64(i) + 5 + uint64(int64(int32(im.elf.ByteOrder.Uint32(code[i+1:]))))
			if callee, ok := im.FuncAt(to); code[i] == 0xe8 && ok && callee.Addr == to && (len(callee.Name) > 4 && callee.Name[:4] == "kmem" || len(callee.Name) > 9 && (callee.Name[:9] == "__kmalloc" || callee.Name[:7] == "kmalloc")) {
				out = append(out, s.Addr+uint64(i)+5)
			}
		}
	}
	return out
}
