package scanner

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// testBands are the bands of an input with objects in all corners.
func testBands(wordSize int) bands {
	objects := []Object{{Addr: 0x1000, Size: 100}, {Addr: 0xc0000000, Size: 4096}, {Addr: 0xfffff000, Size: 1 << 12}}
	if wordSize == 8 {
		objects = []Object{{Addr: 0x1000, Size: 100}, {Addr: 0x7ffffffffffff000, Size: 1 << 13}, {Addr: ^gva(0) - 4096, Size: 1 << 12}}
	}
	return newIndex(objects, wordSize, 1).bands
}

func TestFilters(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, fm := range formats {
		for _, b := range []bands{testBands(fm.size), newIndex(nil, fm.size, 1).bands, newIndex([]Object{{Addr: 0, Size: ^uint64(0)}}, fm.size, 1).bands} {
			in := &Input{WordSize: fm.size, Order: fm.order}
			f := newFormat(in)
			for n := 0; n <= blockWords; n += 1 + n/100 {
				buf := make([]byte, (n+1)*fm.size)
				buf = buf[rng.IntN(fm.size):]
				buf = buf[: n*fm.size : n*fm.size]
				var want []uint32
				const off = 1000
				for i := range n {
					r := b.b[rng.IntN(3)]
					w := r.lo + []uint64{0, 1, r.n - 1, r.n, ^uint64(0), rng.Uint64(), rng.Uint64() % max(r.n, 1)}[rng.IntN(7)]
					if fm.size == 4 {
						w = uint64(uint32(w))
					}
					putWord(in, buf[i*fm.size:], w)
					if got := f.word(buf[i*fm.size:]); got != w {
						t.Fatalf("%s: word %#x read as %#x", fm.name, w, got)
					}
					for _, r := range b.b {
						if w >= r.lo && w-r.lo < r.n {
							want = append(want, off+uint32(i*fm.size))
							break
						}
					}
				}
				for what, fun := range f.filters() {
					for _, before := range []int{0, 1, batch - 1} {
						h := hits{n: before}
						for i := range before {
							h.off[i] = uint32(2 * i)
						}
						fun(&h, buf, off, &b)
						if !slices.Equal(h.off[before:h.n], want) {
							t.Fatalf("%s %s, %d words: at %d, want %d", fm.name, what, n, h.off[before:h.n], want)
						}
						for i := range before {
							if h.off[i] != uint32(2*i) {
								t.Fatalf("%s %s: overwrites what was there", fm.name, what)
							}
						}
					}
				}
			}
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	for _, fm := range formats {
		in := &Input{WordSize: fm.size, Order: fm.order}
		f := newFormat(in)
		bands := testBands(fm.size)
		for _, n := range []int{8, 32, blockWords} {
			for name, fun := range f.filters() {
				b.Run(fmt.Sprintf("%s/%d/%s", fm.name, n, name), func(b *testing.B) {
					buf := make([]byte, n*fm.size)
					var h hits
					b.SetBytes(int64(len(buf)))
					for b.Loop() {
						h.n = 0
						fun(&h, buf, 0, &bands)
					}
				})
			}
		}
	}
}
