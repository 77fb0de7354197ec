package symbols

import (
	"debug/dwarf"
	"slices"
	"strings"

	"github.com/leakvisor/leakvisor/guestmem"
)

// frameWalker unwinds code that is compiled with frame pointers: a chain of
// records of two words, the caller's record and the return address, which
// x86, arm64 and Meta share. It starts at a function's first instruction, where the
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
	up := w.space.im.arch.Call.StackUp
	record, last := start.fp, start.sp
	for ; n < len(out); n++ {
		if record == 0 {
			return n, true // the outermost record's link
		}
		next, ok1 := stack.word(record)
		pc, ok2 := stack.word(record + word)
		if !ok1 || !ok2 || up && record > last || !up && record < last {
			return n, false
		}
		if pc == 0 {
			return n, true
		}
		pc |= w.space.im.arch.Call.Signed
		if !w.space.maybeCode(pc) {
			return n, false
		}
		out[n] = guestmem.GVA(pc)
		if last = record + 2*word; up {
			last = record - 1 // the next is below
		}
		record = next
	}
	return n, true
}

// keepsFramePointers says whether the kernel is compiled with frame pointers.
// Functions are asked for that every kernel has in C.
func (im *Image) keepsFramePointers() bool {
	return im.compiledWith("-fno-omit-frame-pointer", "schedule", "kfree")
}

// compiledWith says whether the units of the functions near were compiled
// with an option, which GCC records with each unit.
func (im *Image) compiledWith(option string, near ...string) (found bool) {
	var err error
	defer guard(im.path, &err)()
	di, err := im.debug()
	if err != nil {
		return false
	}
	for _, u := range di.unitsOf(near) {
		e, err := di.unitEntries(di.units[u]).next()
		if err != nil || e == nil {
			continue
		}
		producer, _ := e.Val(dwarf.AttrProducer).(string)
		if slices.Contains(strings.Fields(producer), option) {
			return true
		}
	}
	return false
}
