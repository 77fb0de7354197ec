package scanner

import "golang.org/x/sys/cpu"

// fastFilter returns a filter for words of size bytes that does the same
// with AVX2, or nil on a CPU without.
func fastFilter(size uint64, big bool) filter {
	switch {
	case !cpu.X86.HasAVX2:
		return nil
	case size == 8 && big:
		return avx2Filter64BE
	case size == 8:
		return avx2Filter64LE
	case big:
		return avx2Filter32BE
	}
	return avx2Filter32LE
}

//go:noescape
func avx2Filter64LE(m *masks, b []byte, f *bands)

//go:noescape
func avx2Filter64BE(m *masks, b []byte, f *bands)

//go:noescape
func avx2Filter32LE(m *masks, b []byte, f *bands)

//go:noescape
func avx2Filter32BE(m *masks, b []byte, f *bands)
