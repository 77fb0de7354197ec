package symbols

import (
	"fmt"
	"os"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapFile maps a whole regular file for reading. The kernel pages it in and
// out: a vmlinux is far larger than what is ever looked at.
func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if st.Size() == 0 {
		return nil, fmt.Errorf("%s: %w: it is empty", path, ErrNotELF)
	}
	if int64(int(st.Size())) != st.Size() {
		return nil, fmt.Errorf("%s: too large to map", path)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return b, nil
}

// guard turns a panic of a debug reader on a hostile file, and the fault that
// reading a mapped file gives when somebody cuts it short meanwhile, into an
// error. Use: defer guard(name, &err)().
func guard(name string, err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		r := recover()
		debug.SetPanicOnFault(old)
		if r != nil {
			*err = fmt.Errorf("%s: %w: %v", name, ErrCorrupt, r)
		}
	}
}

// release tells the system that the pages of b, a part of the mapped file,
// are not needed for now. It changes nothing but memory use.
func (im *Image) release(b []byte) {
	if !im.mapped || len(b) == 0 {
		return
	}
	page := uintptr(unix.Getpagesize())
	base := uintptr(unsafe.Pointer(unsafe.SliceData(im.data)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	if at < base || at >= base+uintptr(len(im.data)) {
		return // unpacked, not mapped
	}
	from, to := (at-base+page-1)/page*page, (at-base+uintptr(len(b)))/page*page
	if from < to {
		_ = unix.Madvise(im.data[from:to], unix.MADV_DONTNEED)
	}
}
