package scanner

import (
	"math/bits"

	"golang.org/x/sys/cpu"
)

// fastFilter returns a filter that does the same with AVX-512 or AVX2, or nil
// on a CPU without.
func (f *format) fastFilter() filter {
	x86 := &cpu.X86
	switch {
	case x86.HasAVX512F && x86.HasAVX512VL && x86.HasAVX512BW && x86.HasAVX512DQ && x86.HasAVX512VBMI2 && x86.HasPOPCNT:
		return [...]filter{avx512Filter64LE, avx512Filter64BE, avx512Filter32LE, avx512Filter32BE}[f.kind()]
	case x86.HasAVX2:
		return f.avx2Filter()
	}
	return nil
}

func (f *format) avx2Filter() filter {
	return f.masked([...]func(*masks, []byte, *bands){avx2Filter64LE, avx2Filter64BE, avx2Filter32LE, avx2Filter32BE}[f.kind()])
}

// masked makes a filter of one that says by masks which words are in a band.
func (f *format) masked(find func(m *masks, b []byte, f *bands)) filter {
	return func(h *hits, b []byte, off uint32, bands *bands) {
		find(&h.masks, b, bands)
		for k := 0; len(b) > 0; k++ {
			set := h.masks[k]
			// Mostly there is none or one: the first is taken unseen, since a
			// branch on that is guessed wrong every other time.
			for {
				at := bits.TrailingZeros64(set) & 63 << f.shift
				hit := uint64(1)
				if set == 0 {
					hit = 0
				}
				h.add(off+uint32(at), hit)
				if set &= set - 1; set == 0 {
					break
				}
			}
			step := min(64<<f.shift, len(b))
			b, off = b[step:], off+uint32(step)
		}
	}
}

//go:noescape
func avx512Filter64LE(h *hits, b []byte, off uint32, f *bands)

//go:noescape
func avx512Filter64BE(h *hits, b []byte, off uint32, f *bands)

//go:noescape
func avx512Filter32LE(h *hits, b []byte, off uint32, f *bands)

//go:noescape
func avx512Filter32BE(h *hits, b []byte, off uint32, f *bands)

//go:noescape
func avx2Filter64LE(m *masks, b []byte, f *bands)

//go:noescape
func avx2Filter64BE(m *masks, b []byte, f *bands)

//go:noescape
func avx2Filter32LE(m *masks, b []byte, f *bands)

//go:noescape
func avx2Filter32BE(m *masks, b []byte, f *bands)
