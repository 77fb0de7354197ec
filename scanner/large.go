package scanner

import "unsafe"

// makeLarge makes a slice that is read at random: with huge pages below it,
// where the host has them, a miss in the cache is not one in the TLB too.
func makeLarge[T any](n, capacity int) []T {
	s := make([]T, n, capacity)
	const huge = 2 << 20
	if size := uintptr(capacity) * unsafe.Sizeof(*new(T)); size >= 2*huge {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
		skip := -start % huge
		end := (start + size) &^ (huge - 1)
		b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), size)
		wantHugePages(b[skip : end-start])
	}
	return s
}
