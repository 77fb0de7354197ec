package hooks

import (
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// ErrWrongKernel is wrapped when the running kernel is not the one whose
// symbols were given.
var ErrWrongKernel = errors.New("the guest does not run the kernel that --vmlinux describes")

// FindSlide returns how far KASLR moved the kernel's text, given the first
// executed address and the code there. The slide is a multiple of
// arch.Linux.SlideAlign, so few link addresses in [text, end) can be the
// one at pc; the one whose code matches is. Bytes that hold relocated
// addresses differ by the slide, so a quarter may be different; package leak
// then checks the build ID.
func FindSlide(a *arch.Arch, img Code, text, end uint64, pc guestmem.GVA, code []byte) (uint64, error) {
	if len(code) < 8 {
		return 0, fmt.Errorf("only %d bytes of code at the kernel's entry %#x", len(code), uint64(pc))
	}
	align := a.Linux.SlideAlign
	first := uint64(pc)
	if align != 0 {
		first = text + (uint64(pc)-text)%align
	} else {
		align = end - text + 1
	}
	want := make([]byte, len(code))
	best, at := -1, uint64(0)
	for link := first; link >= text && link < end; link += align {
		if img.Read(link, want) != nil {
			continue
		}
		if n := equal(want, code); n > best {
			best, at = n, link
		}
	}
	if !alike(best, code) {
		return 0, fmt.Errorf("%w: its first code at %#x (% x) is nowhere in vmlinux; take the debug package of the same kernel version", ErrWrongKernel, uint64(pc), code[:8])
	}
	return uint64(pc) - at, nil
}

// EntrySlide is FindSlide for kernels that move themselves before they come
// to the function arch.Linux.Entry: ok is false for other code than that.
func EntrySlide(a *arch.Arch, img Code, pc guestmem.GVA, code []byte) (slide uint64, ok bool, err error) {
	all := img.Symbols(a.Linux.Entry)
	if len(all) != 1 {
		return 0, false, fmt.Errorf("%d symbols %s in vmlinux, where there should be one", len(all), a.Linux.Entry)
	}
	slide = uint64(pc) - all[0].Addr
	if len(code) < 8 || slide%max(a.Linux.SlideAlign, 1) != 0 {
		return 0, false, nil
	}
	want := make([]byte, len(code))
	if err := img.Read(all[0].Addr, want); err != nil {
		return 0, false, fmt.Errorf("reading the code of %s: %w", a.Linux.Entry, err)
	}
	return slide, alike(equal(want, code), code), nil
}

// equal counts the bytes that are.
func equal(a, b []byte) int {
	n := 0
	for i := range a {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// alike says whether so many equal bytes make code the same.
func alike(equal int, code []byte) bool { return equal*4 >= len(code)*3 }
