package symbols

import (
	"encoding/binary"
	"fmt"
	"testing"
)

func TestLocationLists(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, word := range []int{4, 8} {
			t.Run(fmt.Sprint(order, word), func(t *testing.T) {
				put := func(b []byte, v uint64) []byte {
					if word == 8 {
						return order.AppendUint64(b, v)
					}
					return order.AppendUint32(b, uint32(v))
				}
				var b []byte
				b = put(append(b, lleBaseAddress), 0x1000)
				b = append(b, lleViewPair, 1, 2, lleOffsetPair, 3, 8, 1, 0x50)
				b = put(append(b, lleStartLength), 0x2000)
				b = append(b, 0x10, 2, 0x90, 40)
				b = put(put(append(b, lleStartEnd), 0x3000), 0x3001)
				b = append(b, 1, 0x53)
				b = append(b, lleOffsetPair, 5, 5, 1, 0x50) // empty
				b = append(b, lleBaseAddressx, 1, lleOffsetPair, 0, 4, 1, 0x50, lleStartxLength, 0, 2, 1, 0x51, lleEnd)
				l := lists{cursor: cursor{order: order.(binary.ByteOrder)}, word: word, addr: put(put(put(nil, 0), 0x4000), 0x5000), addrBase: int64(word)}
				want := "[0x1003-0x1008 50] [0x2000-0x2010 9028] [0x3000-0x3001 53] [0x5000-0x5004 50] [0x4000-0x4002 51] "
				if got := show(l.v5(b, 0, 0)); got != want {
					t.Errorf("%s, want %s", got, want)
				}
				for n := range b { // cut short anywhere
					l.bad = false
					l.v5(b[:n], 0, 0)
				}
				expr := func(b []byte, e ...byte) []byte { return append(order.AppendUint16(b, uint16(len(e))), e...) }
				var old []byte
				old = expr(put(put(old, 3), 8), 0x50)
				old = put(put(old, ^uint64(0)>>(64-8*word)), 0x7000)
				old = expr(put(put(old, 1), 2), 0x90, 40)
				old = put(put(old, 0), 0)
				l.bad = false
				if got := show(l.v4(old, 0, 0x1000)); got != "[0x1003-0x1008 50] [0x7001-0x7002 9028] " {
					t.Error(got)
				}
			})
		}
	}
}

func show(list []location) (s string) {
	for _, l := range list {
		s += fmt.Sprintf("[%#x-%#x %x] ", l.Start, l.End, l.expr)
	}
	return s
}

func TestIsRegister(t *testing.T) {
	for _, c := range []struct {
		expr []byte
		reg  uint64
		want bool
	}{
		{[]byte{0x50}, 0, true}, {[]byte{0x53}, 3, true}, {[]byte{0x53}, 0, false}, {nil, 0, false},
		{[]byte{0x90, 40}, 40, true}, {[]byte{0x90, 0xc0, 1}, 0xc0, true}, {[]byte{0x90}, 0, false},
		{[]byte{0x50, 0x93, 4}, 0, false}, // a piece of it
		{[]byte{0x70, 0}, 0, false},       // memory that the register points to
	} {
		if got := isRegister(c.expr, c.reg); got != c.want {
			t.Errorf("% x for register %d: %v", c.expr, c.reg, got)
		}
	}
}

func FuzzLocationLists(f *testing.F) {
	f.Add([]byte{lleBaseAddress, 0, 0, 0, 0, 0, 0, 0, 0, lleOffsetPair, 3, 8, 1, 0x50, lleEnd}, uint64(0))
	f.Add([]byte{lleStartxEndx, 0, 1, 1, 0x50}, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, off uint64) {
		for _, word := range []int{4, 8} {
			l := lists{cursor: cursor{order: binary.LittleEndian}, word: word, addr: b, addrBase: int64(off)}
			for _, x := range append(l.v5(b, off%64, 0x1000), l.v4(b, off%64, 0x1000)...) {
				isRegister(x.expr, 3)
			}
		}
	})
}
