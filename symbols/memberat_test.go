package symbols

import (
	"fmt"
	"testing"
)

func TestMemberAt(t *testing.T) {
	types := shapes()
	// struct top { unsigned long n; struct list_head list; union { number,
	// pointer }; struct pair many[2]; int grid[2][3]; struct pair tail[]; }
	types[0] = aggregate{Name: "top", Size: 96, Members: []member{
		{Name: "n", Size: 8, Kind: kindInteger, Type: "unsigned long"},
		{Name: "list", Offset: 8, Size: 16, Inner: 1, Type: "struct list_head"},
		{Offset: 24, Size: 8, Inner: 3, Type: "union {...}"},
		{Name: "many", Offset: 32, Size: 32, Elem: 16, Dims: []uint64{2}, Inner: 4, Type: "struct pair"},
		{Name: "grid", Offset: 64, Size: 24, Elem: 4, Dims: []uint64{2, 3}, Kind: kindInteger, Type: "int"},
		{Name: "tail", Offset: 96, Elem: 16, Dims: []uint64{0}, Inner: 4, Type: "struct pair"},
	}}
	s := &Struct{Size: 96, types: types}
	for _, c := range []struct {
		at   uint64
		want string
	}{
		{0, "n +0 false true"}, {7, "n +7 false true"},
		{8, "list.next +0 true true"}, {16, "list.prev +0 true true"},
		{24, "pointer +0 true true"}, {26, "number +2 false true"},
		{32, "many[0].key +0 false true"}, {56, "many[1].value +0 true true"},
		{64, "grid[0][0] +0 false true"}, {84, "grid[1][2] +0 false true"}, {85, "grid[1][2] +1 false true"},
		{88, " +0 false false"},
		{96 + 24, "tail[1].value +0 true true"},
	} {
		m, ok := s.MemberAt(c.at)
		if got := fmt.Sprintf("%s +%d %v %v", m.Path, m.Offset, m.Pointer, ok); got != c.want {
			t.Errorf("%d: %s, want %s", c.at, got, c.want)
		}
	}
	var leaves string
	for _, l := range s.Leaves(100) {
		leaves += fmt.Sprintf("%d:%s:%s ", l.At, l.Path, l.Type)
	}
	if want := "0:n:unsigned long 8:list.next:void * 16:list.prev:void * 24:pointer:void * 64:grid:int[2][3] "; leaves != want {
		t.Errorf("leaves %s", leaves)
	}
	if n := len(s.Leaves(2)); n != 2 {
		t.Errorf("%d leaves of 2", n)
	}
	loop := &Struct{Size: 8, types: []aggregate{{Size: 8, Members: []member{{Inner: 1, Size: 8}, {Inner: 1, Size: 8}}}, {Size: 8, Members: []member{{Inner: 1, Size: 8}, {Inner: 1, Size: 8}}}}}
	if m, ok := loop.MemberAt(0); ok {
		t.Errorf("a structure that contains itself has %+v", m)
	}
	loop.Leaves(10)
}

// TestVMLinuxData names variables and their members in stock kernels.
func TestVMLinuxData(t *testing.T) {
	eachVMLinux(t, func(t *testing.T, im *Image) {
		task, err := im.Symbol("init_task")
		if err != nil {
			t.Fatal(err)
		}
		st, err := im.VariableType(task)
		if err != nil || st == nil || st.Tag() != "struct task_struct" {
			t.Fatalf("init_task is a %v, %v", st, err)
		}
		f, err := st.Field("tasks.next")
		if err != nil {
			t.Fatal(err)
		}
		sym, ok := im.DataAt(task.Addr + f.Offset)
		if m, found := st.MemberAt(task.Addr + f.Offset - sym.Addr); !ok || sym.Name != "init_task" || !found || m.Path != "tasks.next" || !m.Pointer {
			t.Errorf("%v %v %+v", sym, ok, m)
		}
		if st, err := im.VariableType(Symbol{Addr: 1}); st != nil || err != nil {
			t.Errorf("of no variable: %v, %v", st, err)
		}
		p := st.Pointers(8, func(string, string) bool { return false })
		share := uint64(0)
		for _, r := range p.Parts {
			share += r.Size()
		}
		if share == 0 || share >= st.Size {
			t.Errorf("%d of the %d bytes of a task_struct hold pointers", share, st.Size)
		}
	})
}
