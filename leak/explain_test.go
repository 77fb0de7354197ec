package leak

import (
	"errors"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/scanner"
)

func TestParseQuery(t *testing.T) {
	for text, want := range map[string]Query{
		"0xffff888000000010": {address: 0xffff888000000010},
		"FFFF888000000010":   {address: 0xffff888000000010},
		"function:foo_*":     {field: "function", pattern: "foo_*"},
		"type:struct inode":  {field: "type", pattern: "struct inode"},
		"cache:a:b":          {field: "cache", pattern: "a:b"},
	} {
		want.text = text
		if got, err := ParseQuery(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "0x", "xyz", "pid:1", "function:", "0x1ffffffffffffffff"} {
		if q, err := ParseQuery(text); !errors.Is(err, ErrQuery) {
			t.Errorf("%q: %+v, %v", text, q, err)
		}
	}
}

// An address is one of an object by any byte of it or of its copies.
func TestQueryAddress(t *testing.T) {
	p := &picture{in: &scanner.Input{}}
	p.add(object{Object: hooks.Object{Addr: 0x1000, Size: 64}}, scanner.Object{Addr: 0x1000, Size: 64})
	p.add(object{Object: hooks.Object{Addr: 0x20, Size: 16}}, scanner.Object{Addr: 0x20, Size: 16, Copies: []gvaRange{{Start: 0x5000, End: 0x5010}}})
	for a, want := range map[guestmem.GVA]int{0x1000: 0, 0x103f: 0, 0x1040: -1, 0x2f: 1, 0x500f: 1, 0x5010: -1, 0xfff: -1} {
		got := -1
		for i := range p.objects {
			if (&Query{address: a}).matches(nil, p, i, nil) {
				got = i
			}
		}
		if got != want {
			t.Errorf("%#x: object %d, want %d", a, got, want)
		}
	}
	for a, want := range map[guestmem.GVA]bool{0x1000: true, 0x103f: true, 0x1040: false, 0xf: false, 0x2f: true} {
		if _, ok := p.objectAt(a); ok != want {
			t.Errorf("%#x: %v", a, ok)
		}
	}
}
