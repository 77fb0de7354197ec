package scanner

import (
	"slices"
	"testing"
)

// What Each makes of a layout is what its definition says of each byte.
func TestLayoutEach(t *testing.T) {
	d := newDice([]byte("layouts"))
	for range 2000 {
		l := randomLayout(d)
		size := uint64(1 + d.n(300))
		lo := uint64(d.n(int(size)))
		hi := lo + uint64(d.n(int(size-lo)))
		r := &reference{in: &Input{Layouts: []Layout{l}}}
		o := &Object{Addr: 0x1000, Size: size, Layout: 1}
		want, got := make([]bool, size), make([]bool, size)
		for a := lo; a <= hi; a++ {
			want[a] = r.inLayout(o, 0x1000+a)
		}
		next := uint64(0)
		l.Each(lo, hi, func(a, b uint64) {
			if a < next || b < a || b > hi {
				t.Errorf("[%d, %d] of [%d, %d] behind %d", a, b, lo, hi, next)
			}
			next = b + 2
			for ; a <= b && a < size; a++ {
				got[a] = true
			}
		})
		if !slices.Equal(got, want) {
			t.Fatalf("%+v of [%d, %d]:\n%v, want\n%v", l, lo, hi, got, want)
		}
	}
	// A hostile size is not gone through in small steps.
	small := Layout{Period: 1}
	small.Each(0, ^uint64(0)-1, func(a, b uint64) {
		if a != 0 || b != ^uint64(0)-1 {
			t.Errorf("[%#x, %#x]", a, b)
		}
	})
}
