package leak

import (
	"testing"

	"github.com/leakvisor/leakvisor/scanner"
	"github.com/leakvisor/leakvisor/symbols"
)

// Of the variables that take an object's address one that fits its size wins;
// of two that fit as well neither does.
func TestChooseStruct(t *testing.T) {
	a64, b64, c32, d128 := &symbols.Struct{Name: "a", Size: 64}, &symbols.Struct{Name: "b", Size: 64}, &symbols.Struct{Name: "c", Size: 32}, &symbols.Struct{Name: "d", Size: 128}
	for name, c := range map[string]struct {
		size uint64
		list []*symbols.Struct
		want *symbols.Struct
	}{
		"none":          {64, nil, nil},
		"exact":         {64, []*symbols.Struct{a64}, a64},
		"head":          {100, []*symbols.Struct{a64}, a64},
		"too large":     {64, []*symbols.Struct{d128}, nil},
		"exact of two":  {64, []*symbols.Struct{c32, a64}, a64},
		"first is best": {64, []*symbols.Struct{a64, c32}, a64},
		"two exact":     {64, []*symbols.Struct{a64, b64}, nil},
		"two heads":     {100, []*symbols.Struct{a64, b64}, nil},
		"twice":         {64, []*symbols.Struct{a64, a64}, a64},
		"no structure":  {64, []*symbols.Struct{nil, a64}, a64},
	} {
		var list []symbols.Assigned
		for _, s := range c.list {
			list = append(list, symbols.Assigned{Struct: s})
		}
		if got := chooseStruct(list, c.size); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A layout is scanned by the scanner as the type says it.
func TestLayoutsOfScanner(t *testing.T) {
	l := layout(symbols.Pointers{Parts: []symbols.Range{{Start: 8, End: 24}}, Size: 32})
	for off, want := range map[uint64]bool{0: false, 8: true, 23: true, 24: false, 32: true} {
		got := false
		l.Each(off, off, func(_, _ uint64) { got = true })
		if got != want {
			t.Errorf("offset %d: %v", off, got)
		}
	}
	var _ scanner.Layout = l
}
