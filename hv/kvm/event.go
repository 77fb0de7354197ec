//go:build linux && amd64

package kvm

import (
	"encoding/binary"
	"errors"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// maxArrayWords bounds the arrays that are copied with an event.
const maxArrayWords = 4096

// maxFetch is the largest Fetch.
const maxFetch = 16

// fetcher is a Plan's context, compiled.
type fetcher struct {
	reads []fetch
	size  int
}

type fetch struct {
	base   func(*state) uint64 // nil for prev
	prev   int                 // offset of the word in the result, -1 for none
	offset uint64
	size   int
	at     int
}

func newFetcher(context []hv.Fetch) (*fetcher, error) {
	f := &fetcher{}
	at := make([]int, len(context))
	for i, c := range context {
		if c.Size < 1 || c.Size > maxFetch || c.Prev > i || c.Align != 0 {
			return nil, errors.New("kvm: the plan's context cannot be read: a fetch is out of bounds")
		}
		at[i] = f.size
		r := fetch{prev: -1, offset: c.Offset, size: c.Size, at: f.size}
		switch {
		case c.Reg != "":
			if r.base = namedReg(c.Reg); r.base == nil {
				return nil, errors.New("kvm: the plan's context names an unknown register: " + c.Reg)
			}
		case c.Prev > 0:
			r.prev = at[c.Prev-1]
		}
		f.reads = append(f.reads, r)
		f.size += (c.Size + 7) &^ 7
	}
	return f, nil
}

// fetch fills out, of f.size zero bytes.
func (f *fetcher) fetch(s *state, out []byte) {
	for i := range f.reads {
		r := &f.reads[i]
		base := uint64(0)
		switch {
		case r.base != nil:
			base = r.base(s)
		case r.prev >= 0:
			if base = binary.LittleEndian.Uint64(out[r.prev:]); base == 0 {
				continue
			}
		}
		dst := out[r.at : r.at+r.size]
		if guestmem.Read(s.space, guestmem.GVA(base+r.offset), dst) != nil {
			clear(dst)
		}
	}
}

// record is an event on its way to the handler. Its event's slices lie in buf.
type record struct {
	ev   hv.Event
	buf  []byte
	done chan struct{} // closed by the deliverer, for a Sync hook
	// after is how much of the ring was written before this event.
	after uint64
}

// take returns n zero bytes of r's buffer.
func (r *record) take(n int) []byte {
	at := len(r.buf)
	if at+n > cap(r.buf) {
		// Slices into the old buffer stay valid.
		r.buf = make([]byte, 0, 2*(at+n))
		at = 0
	}
	r.buf = r.buf[:at+n]
	b := r.buf[at : at+n : at+n]
	clear(b)
	return b
}

// entry fills in the event of entering a hooked function.
func (r *record) entry(s *state, h *hv.Hook, p passing, f *fetcher, stackSize uint64) {
	ev := &r.ev
	*ev = hv.Event{
		Kind: hv.Entry, Hook: p.hook, PC: p.entry, SP: guestmem.GVA(s.RSP), FP: s.RBP,
		Args: [6]uint64{s.RDI, s.RSI, s.RDX, s.RCX, s.R8, s.R9},
	}
	if f.size > 0 {
		ev.Context = r.take(f.size)
		f.fetch(s, ev.Context)
	}
	if n := stackCopy(s.RSP, h.StackBytes, stackSize); n > 0 {
		b := r.take(n)
		ev.Stack = b[:readSome(s.space, guestmem.GVA(s.RSP), b)]
	}
	if len(ev.Stack) >= 8 {
		ev.Return = guestmem.GVA(binary.LittleEndian.Uint64(ev.Stack))
	} else if w, err := s.word(s.RSP); err == nil {
		ev.Return = guestmem.GVA(w)
	}
	if h.Array.When == hv.ArrayAtEntry {
		r.array(s, argument(ev, h.Array.Pointer), argument(ev, h.Array.Count))
	}
}

// stackCopy is how many bytes of the stack are copied: at most want, and not
// beyond the stack's end.
func stackCopy(sp uint64, want int, stackSize uint64) int {
	left := stackSize - sp&(stackSize-1)
	return int(min(uint64(max(want, 0)), left))
}

// readSome fills b as far as memory can be read.
func readSome(m guestmem.Memory, gva guestmem.GVA, b []byte) (n int) {
	for n < len(b) {
		v, err := m.View(gva+guestmem.GVA(n), len(b)-n)
		if err != nil {
			break
		}
		n += copy(b[n:], v)
	}
	return n
}

func argument(ev *hv.Event, n int) uint64 {
	if n < 0 || n >= len(ev.Args) {
		return 0
	}
	return ev.Args[n]
}

func (r *record) array(s *state, pointer, count uint64) {
	r.ev.ArrayShort = count > maxArrayWords
	b := r.take(int(min(count, maxArrayWords)) * 8)
	n := readSome(s.space, guestmem.GVA(pointer), b) &^ 7
	r.ev.ArrayShort = r.ev.ArrayShort || n < len(b)
	r.ev.Array = b[:n]
}

// arrayCall is what must be kept from the entry of a function whose array is
// copied at its exit.
type arrayCall struct{ pointer, count uint64 }

// openKey names a call in progress.
type openKey struct {
	hook int
	sp   uint64
}
