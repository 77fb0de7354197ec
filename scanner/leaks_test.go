package scanner

import (
	"fmt"
	"slices"
	"testing"
)

// checkLeaks compares res.Leaks with what follows from the definition, by
// closure over all pairs.
func checkLeaks(t testing.TB, ref *reference, res *Result) {
	t.Helper()
	n := len(res.States)
	white := func(i int) bool { return res.States[i] == Orphan || res.States[i] == Unknown }
	direct := make([][]bool, n) // direct[i][j]: a word of i points to j
	reach := make([][]bool, n)
	for i := range n {
		direct[i], reach[i] = make([]bool, n), make([]bool, n)
		if !white(i) {
			continue
		}
		to, _ := ref.points(i)
		for _, j := range to {
			if white(j) {
				direct[i][j], reach[i][j] = true, true
			}
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
			}
		}
	}
	owner := make([]int, n) // the root that each white object belongs to
	for i := range n {
		owner[i] = -1
		root := white(i)
		for j := range n {
			if reach[j][i] && (!reach[i][j] || j < i) {
				root = false
			}
		}
		if root {
			owner[i] = i
		}
	}
	for i := range n { // in ascending order
		for j := range n {
			if owner[i] == i && owner[j] < 0 && reach[i][j] {
				owner[j] = i
			}
		}
	}
	got := make([]int, n)
	for i := range got {
		got[i] = -1
	}
	for k, l := range res.Leaks {
		bytes := ref.in.Objects[l.Object].Size
		got[l.Object] = l.Object
		if l.Cycle != reach[l.Object][l.Object] {
			t.Errorf("leak %d: cycle %v", l.Object, l.Cycle)
		}
		for _, c := range l.Children {
			if got[c.Object] != -1 {
				t.Errorf("object %d is listed twice", c.Object)
			}
			got[c.Object] = l.Object
			if got[c.Parent] != l.Object || !direct[c.Parent][c.Object] {
				t.Errorf("object %d does not hang on %d, or comes before it", c.Object, c.Parent)
			}
			bytes += ref.in.Objects[c.Object].Size
		}
		if l.Bytes != bytes {
			t.Errorf("leak %d: %d bytes, want %d", l.Object, l.Bytes, bytes)
		}
		if k > 0 && (res.Leaks[k-1].Bytes < bytes || res.Leaks[k-1].Bytes == bytes && res.Leaks[k-1].Object > l.Object) {
			t.Errorf("leak %d is out of order", l.Object)
		}
	}
	if !slices.Equal(got, owner) {
		t.Errorf("roots\n%d, want\n%d", got, owner)
	}
}

// shapeInput lays out n objects of 64 bytes at 0x1000, 0x1040, … and writes
// the pointers: object from, offset in it, object to, offset in that.
func shapeInput(f int, n int, pointers ...[4]uint64) *Input {
	mem := newPaged()
	mem.mapPages(0x1000, testPage)
	in := &Input{WordSize: formats[f].size, Order: formats[f].order, Memory: mem}
	for i := range n {
		in.Objects = append(in.Objects, Object{Addr: gva(0x1000 + 64*i), Size: 64})
	}
	for _, p := range pointers {
		mem.put(in, 0x1000+64*p[0]+p[1], 0x1000+64*p[2]+p[3])
	}
	return in
}

func TestLeakShapes(t *testing.T) {
	type leaks = []Leak
	tests := []struct {
		name     string
		n        int
		pointers [][4]uint64
		want     leaks
	}{
		{"alone", 1, nil, leaks{{Object: 0, Bytes: 64}}},
		{"self", 1, [][4]uint64{{0, 0, 0, 0}, {0, 8, 0, 32}}, leaks{{Object: 0, Bytes: 64}}},
		{"chain", 3, [][4]uint64{{2, 0, 1, 0}, {1, 8, 0, 0}}, leaks{{Object: 2, Bytes: 192, Children: []Child{{1, 2}, {0, 1}}}}},
		{"tree", 4, [][4]uint64{{0, 0, 1, 0}, {0, 8, 2, 0}, {2, 0, 3, 0}}, leaks{{Object: 0, Bytes: 256, Children: []Child{{1, 0}, {2, 0}, {3, 2}}}}},
		{"cycle", 3, [][4]uint64{{0, 0, 1, 0}, {1, 0, 2, 0}, {2, 0, 0, 0}}, leaks{{Object: 0, Cycle: true, Bytes: 192, Children: []Child{{1, 0}, {2, 1}}}}},
		// 0 and 1 are a cycle, 2 and 3 another that refers to it.
		{"two cycles", 4, [][4]uint64{{0, 0, 1, 0}, {1, 0, 0, 0}, {2, 0, 3, 0}, {3, 0, 2, 0}, {3, 8, 1, 0}},
			leaks{{Object: 2, Cycle: true, Bytes: 256, Children: []Child{{3, 2}, {1, 3}, {0, 1}}}}},
		{"interior", 2, [][4]uint64{{1, 0, 0, 63}}, leaks{{Object: 1, Bytes: 128, Children: []Child{{0, 1}}}}},
		// A pointer to the end of 0 is one to the start of 1.
		{"adjacent", 3, [][4]uint64{{2, 0, 0, 64}}, leaks{{Object: 2, Bytes: 128, Children: []Child{{1, 2}}}, {Object: 0, Bytes: 64}}},
		{"behind the end", 2, [][4]uint64{{0, 0, 1, 64}}, leaks{{Object: 0, Bytes: 64}, {Object: 1, Bytes: 64}}},
		{"before the start", 2, [][4]uint64{{1, 0, 0, ^uint64(0)}}, leaks{{Object: 0, Bytes: 64}, {Object: 1, Bytes: 64}}},
		{"two parents", 3, [][4]uint64{{0, 0, 2, 0}, {1, 0, 2, 0}}, leaks{{Object: 0, Bytes: 128, Children: []Child{{2, 0}}}, {Object: 1, Bytes: 64}}},
	}
	for f := range formats {
		for _, tt := range tests {
			t.Run(formats[f].name+"/"+tt.name, func(t *testing.T) {
				in := shapeInput(f, tt.n, tt.pointers...)
				res := mustScan(t, in, 2)
				if got, want := fmt.Sprint(res.Leaks), fmt.Sprint(tt.want); got != want {
					t.Errorf("%s, want %s", got, want)
				}
				// With a root at the first leak, all that hangs on it is reachable.
				in.Roots = []Root{{Words: []uint64{uint64(in.Objects[tt.want[0].Object].Addr)}}}
				res = mustScan(t, in, 2)
				if len(res.Leaks) != len(tt.want)-1 {
					t.Errorf("with a root: %v", res.Leaks)
				}
				compare(t, in)
			})
		}
	}
}

// The oldest of a cycle is the one, and of several leaks to an object, too.
func TestOldestLeak(t *testing.T) {
	for f := range formats {
		in := shapeInput(f, 5, [4]uint64{0, 0, 1, 0}, [4]uint64{1, 0, 0, 0}, [4]uint64{2, 0, 3, 0}, [4]uint64{4, 0, 3, 0})
		in.Older = func(a, b int) bool { return a > b }
		res := mustScan(t, in, 2)
		want := []Leak{
			{Object: 4, Bytes: 128, Children: []Child{{3, 4}}},
			{Object: 1, Cycle: true, Bytes: 128, Children: []Child{{0, 1}}},
			{Object: 2, Bytes: 64},
		}
		if got := fmt.Sprint(res.Leaks); got != fmt.Sprint(want) {
			t.Errorf("%s, want %v", got, want)
		}
	}
}

// A list of many orphans must not take a stack of that depth.
func TestLongList(t *testing.T) {
	const n = 300000
	mem := newPaged()
	mem.mapPages(0x100000, n*16)
	in := &Input{WordSize: 8, Order: formats[0].order, Memory: mem}
	for i := range uint64(n) {
		in.Objects = append(in.Objects, Object{Addr: gva(0x100000 + 16*(i*7919%n)), Size: 16})
	}
	for i := range n - 1 {
		mem.put(in, uint64(in.Objects[i].Addr)+8, uint64(in.Objects[i+1].Addr))
	}
	res := mustScan(t, in, 2)
	if len(res.Leaks) != 1 || res.Leaks[0].Object != 0 || len(res.Leaks[0].Children) != n-1 {
		t.Fatalf("%d leaks", len(res.Leaks))
	}
	in.Roots = []Root{{Words: []uint64{uint64(in.Objects[1].Addr)}}}
	res = mustScan(t, in, 2)
	if len(res.Leaks) != 1 || len(res.Leaks[0].Children) != 0 {
		t.Fatalf("%d leaks with a root at the second", len(res.Leaks))
	}
}
