package symbols

import (
	"debug/dwarf"
	"strings"

	"github.com/leakvisor/leakvisor/guestmem"
)

// frameWalker unwinds code that is compiled with frame pointers: a chain of
// records of two words, the caller's record and the return address, which
// x86 and arm64 share. It starts at a function's first instruction, where the
// frame pointer is still the caller's.
type frameWalker struct{ space *Space }

func newFrameWalker(s *Space) *frameWalker { return &frameWalker{s} }

func (w *frameWalker) unwind(_ uint64, start frameState, stack copied, out []guestmem.GVA) (int, bool) {
	n := 0
	if start.exact && len(out) > 0 {
		pc, ok := stack.word(start.sp)
		if !ok || !w.space.maybeCode(pc) {
			return 0, false
		}
		out[0] = guestmem.GVA(pc)
		n = 1
	}
	word := uint64(w.space.im.arch.WordSize)
	record, last := start.fp, start.sp
	for ; n < len(out); n++ {
		if record == 0 {
			return n, true // the outermost record's link
		}
		next, ok1 := stack.word(record)
		pc, ok2 := stack.word(record + word)
		if !ok1 || !ok2 || record < last {
			return n, false
		}
		if pc == 0 {
			return n, true
		}
		if !w.space.maybeCode(pc) {
			return n, false
		}
		out[n] = guestmem.GVA(pc)
		last, record = record+2*word, next
	}
	return n, true
}

// keepsFramePointers says whether the kernel is compiled with frame pointers.
// GCC records its options with each unit. A unit of C is asked for, that of
// schedule(), which every kernel has.
func (im *Image) keepsFramePointers() bool {
	di, err := im.debug()
	if err != nil {
		return false
	}
	for _, u := range di.unitsOf([]string{"schedule", "kfree"}) {
		r := di.data.Reader()
		r.Seek(di.units[u].die)
		e, err := r.Next()
		if err != nil || e == nil {
			continue
		}
		producer, _ := e.Val(dwarf.AttrProducer).(string)
		if strings.Contains(producer, "-fno-omit-frame-pointer") {
			return true
		}
	}
	return false
}
