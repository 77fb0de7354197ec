package leak

import (
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

// spans makes ranges of pairs of addresses.
func spans(addrs ...guestmem.GVA) []gvaRange {
	var out []gvaRange
	for i := 0; i+1 < len(addrs); i += 2 {
		out = append(out, gvaRange{Start: addrs[i], End: addrs[i+1]})
	}
	return out
}

func TestWithout(t *testing.T) {
	holes := spans(0, 5, 10, 20, 30, 40, 90, 200)
	for _, c := range []struct{ in, want []gvaRange }{
		{spans(0, 100), spans(5, 10, 20, 30, 40, 90)},
		{spans(12, 15), nil},
		{spans(15, 35), spans(20, 30)},
		{spans(5, 10), spans(5, 10)},
		{spans(9, 9), nil},
		{spans(200, 300), spans(200, 300)},
	} {
		if got := without(c.in[0], holes); !reflect.DeepEqual(got, c.want) {
			t.Errorf("without(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestDisjoint(t *testing.T) {
	got := disjoint(spans(30, 40, 0, 0, 10, 20, 15, 25, 25, 26, 35, 36))
	if want := spans(10, 26, 30, 40); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestClaims(t *testing.T) {
	c := claims{ranges: []guestmem.Range[guestmem.GPA]{{Start: 30, End: 40}, {Start: 10, End: 20}, {Start: 15, End: 25}}}
	c.merge()
	for a, want := range map[guestmem.GPA]bool{0: false, 10: true, 22: true, 25: false, 29: false, 30: true, 39: true, 40: false} {
		if c.has(a) != want {
			t.Errorf("%d is claimed: %v", a, !want)
		}
	}
}
