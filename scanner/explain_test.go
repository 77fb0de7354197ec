package scanner

import (
	"errors"
	"fmt"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

// checkPath checks what Explain says of object o against res and by reading
// each reference again.
func checkPath(t testing.TB, in *Input, ref *reference, res *Result, o int) {
	t.Helper()
	p, err := Explain(t.Context(), in, o)
	if err != nil {
		t.Fatal(err)
	}
	if p.State != res.States[o] {
		t.Errorf("object %d: state %d, want %d", o, p.State, res.States[o])
		return
	}
	gray := func(i int) bool { return in.Objects[i].Flag&(Gray|Ignore) == Gray }
	at := -1
	for i, h := range p.Hops {
		checkHop(t, in, ref, h)
		if i == 0 {
			if h.Root < 0 && !gray(h.Object) {
				t.Errorf("object %d: the path begins at object %d", o, h.Object)
			}
		} else if h.Root >= 0 || h.Object != at {
			t.Errorf("object %d: hop %d begins at %d, not %d", o, i, h.Object, at)
		}
		at = h.To
	}
	if p.State == Reachable && !gray(o) && at != o || gray(o) && len(p.Hops) > 0 {
		t.Errorf("object %d: the path ends at %d", o, at)
	}
	if p.State == Orphan || p.State == Unknown {
		n := 0
		for i, s := range res.States {
			if s == Orphan || s == Unknown {
				to, _ := ref.points(i)
				for _, k := range to {
					if k == o {
						n++
					}
				}
			}
		}
		if p.ReferrerCount != n || len(p.Referrers) != min(n, MaxReferrers) {
			t.Errorf("object %d: %d referrers, want %d", o, p.ReferrerCount, n)
		}
		for _, h := range p.Referrers {
			checkHop(t, in, ref, h)
			if h.Root >= 0 || h.To != o || res.States[h.Object] != res.States[o] {
				t.Errorf("object %d: referrer %+v", o, h)
			}
		}
	}
	other := *in
	other.Roots = nil
	for _, r := range in.Roots {
		if r.Class != ClassStack && r.Class != ClassRegister {
			other.Roots = append(other.Roots, r)
		}
	}
	without, _ := referenceScan(&other)
	if want := p.State == Reachable && without.States[o] != Reachable; p.OnlyStack != want {
		t.Errorf("object %d: only by a stack %v, want %v", o, p.OnlyStack, want)
	}
	if p.OnlyInterior && p.State != Reachable {
		t.Errorf("object %d: only by interior pointers, but not reachable", o)
	}
}

// checkHop reads a reference again.
func checkHop(t testing.TB, in *Input, ref *reference, h Hop) {
	t.Helper()
	value := h.Value
	var start uint64
	mem := in.Memory
	if h.Root >= 0 {
		start = uint64(in.Roots[h.Root].Range.Start)
		if m := in.Roots[h.Root].Memory; m != nil {
			mem = m
		}
	} else {
		start = uint64(in.Objects[h.Object].Addr)
		if h.Copy >= 0 {
			start = uint64(in.Objects[h.Object].Copies[h.Copy].Start)
		}
	}
	switch {
	case h.Edge:
		found := false
		for _, e := range in.Edges {
			found = found || uint64(e.To) == h.Value && (h.Object < 0 || ref.owner(uint64(e.From)) == h.Object)
		}
		if !found {
			t.Errorf("there is no edge %+v", h)
		}
	case h.Word >= 0:
		value = in.Roots[h.Root].Words[h.Word]
		if in.WordSize == 4 {
			value = uint64(uint32(value))
		}
	default:
		if uint64(h.Addr) != start+h.Offset {
			t.Errorf("offset and address differ: %+v", h)
		}
		var b [8]byte
		if err := guestmem.Read(mem, h.Addr, b[:in.WordSize]); err != nil {
			t.Errorf("%+v: %v", h, err)
		}
		value = uint64(in.Order.Uint32(b[:]))
		if in.WordSize == 8 {
			value = in.Order.Uint64(b[:])
		}
	}
	if h.Value != value || ref.target(value) != h.To {
		t.Errorf("%+v: the word is %#x, in object %d", h, value, ref.target(value))
	}
	to := uint64(in.Objects[h.To].Addr)
	if h.ToCopy >= 0 {
		to = uint64(in.Objects[h.To].Copies[h.ToCopy].Start)
	}
	if to+h.ToOffset != value {
		t.Errorf("%+v: the word is %#x", h, value)
	}
}

func TestExplainRandomHeaps(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for seed := range 60 {
				in := randomInput(newDice(fmt.Append(nil, seed)), f.size, f.order)
				res := mustScan(t, in, 1)
				_, ref := referenceScan(in)
				for o := range in.Objects {
					checkPath(t, in, ref, res, o)
				}
				if t.Failed() {
					dump(t, in)
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func TestExplainShortest(t *testing.T) {
	// A root refers to 0, a stack to 2; 0 → 1 → 2 → 3, and 3 by its middle.
	in := shapeInput(1, 5, [4]uint64{0, 0, 1, 0}, [4]uint64{1, 8, 2, 0}, [4]uint64{2, 16, 3, 8}, [4]uint64{4, 0, 4, 8})
	in.Roots = []Root{
		{Class: ClassData, Words: []uint64{0, 0x1000}},
		{Class: ClassStack, Words: []uint64{0x1080}},
	}
	p, err := Explain(t.Context(), in, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []Hop{
		{Root: 1, Object: -1, Copy: -1, Word: 0, Value: 0x1080, To: 2, ToCopy: -1},
		{Root: -1, Object: 2, Copy: -1, Word: -1, Offset: 16, Addr: 0x1090, Value: 0x10c8, To: 3, ToCopy: -1, ToOffset: 8},
	}
	if got, want := fmt.Sprintf("%+v", p.Hops), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !p.OnlyInterior || p.OnlyStack {
		t.Errorf("only interior %v, only stack %v", p.OnlyInterior, p.OnlyStack)
	}
	in.Roots = in.Roots[1:]
	if p, err = Explain(t.Context(), in, 2); err != nil || !p.OnlyStack || p.OnlyInterior {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = Explain(t.Context(), in, 1); err != nil || p.State != Orphan || p.ReferrerCount != 1 || p.Referrers[0].Object != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err = Explain(t.Context(), in, 5); !errors.Is(err, ErrInput) {
		t.Errorf("an object that is not there: %v", err)
	}
}
