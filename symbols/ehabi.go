package symbols

import (
	"errors"
	"fmt"
	"sort"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// EHTable is a table of the ARM exception handling ABI (EHABI32, sections 6
// and 10), which Linux unwinds 32-bit ARM by (arch/arm/kernel/unwind.c): for
// each function the address from which on it lies, and instructions that undo
// its frame.
type EHTable struct {
	starts []uint32
	ops    [][]byte // nil where the function cannot be unwound
}

// ehMost bounds the instructions of a function, in bytes.
const ehMost = 256

// ReadEHTable reads an index, the content of .ARM.exidx at addr; read gets
// what the index refers to. Entries in which something is wrong cannot be
// unwound; a table that is out of order is an error.
func ReadEHTable(a *arch.Arch, index []byte, addr uint64, read func(addr uint64, buf []byte) error) (*EHTable, error) {
	const entry, cannotUnwind = 8, 1
	t := &EHTable{}
	for i := 0; i+entry <= len(index); i += entry {
		at := uint32(addr) + uint32(i)
		start := prel31(at, uint32(a.Uint(index[i:i+4])))
		word := uint32(a.Uint(index[i+4 : i+8]))
		if n := len(t.starts); n > 0 && start < t.starts[n-1] {
			return nil, fmt.Errorf("unwind table at %#x: %w: it is not sorted", addr, ErrCorrupt)
		}
		var ops []byte
		switch {
		case word == cannotUnwind:
		case word&0x8000_0000 != 0:
			ops = compact(word, nil)
		default:
			ops = outOfLine(a, uint64(prel31(at+4, word)), read)
		}
		t.starts, t.ops = append(t.starts, start), append(t.ops, ops)
	}
	return t, nil
}

// prel31 adds a 31-bit signed offset to the place that it is in.
func prel31(at, word uint32) uint32 { return at + uint32(int32(word<<1)>>1) }

// compact returns the instructions of an entry in the compact model, of which
// more has the words behind the first.
func compact(word uint32, more []byte) []byte {
	if word>>24&0xf == 0 { // Su16: three instructions, and no more words
		return []byte{byte(word >> 16), byte(word >> 8), byte(word)}
	}
	return append([]byte{byte(word >> 8), byte(word)}, more...) // Lu16, Lu32
}

func outOfLine(a *arch.Arch, at uint64, read func(uint64, []byte) error) []byte {
	var b [4]byte
	if read(at, b[:]) != nil {
		return nil
	}
	word := uint32(a.Uint(b[:]))
	if word&0xf000_0000 != 0x8000_0000 { // a personality routine of its own
		return nil
	}
	var more []byte
	if word>>24&0xf != 0 {
		n := int(word >> 16 & 0xff)
		if 4*n > ehMost {
			return nil
		}
		raw := make([]byte, 4*n)
		if n > 0 && read(at+4, raw) != nil {
			return nil
		}
		for ; len(raw) > 0; raw = raw[4:] {
			w := uint32(a.Uint(raw[:4]))
			more = append(more, byte(w>>24), byte(w>>16), byte(w>>8), byte(w))
		}
	}
	return compact(word, more)
}

// find returns the instructions for an address, nil where it cannot be
// unwound; ok is false below the first function.
func (t *EHTable) find(pc uint32) (ops []byte, ok bool) {
	i := sort.Search(len(t.starts), func(i int) bool { return t.starts[i] > pc })
	if i == 0 {
		return nil, false
	}
	return t.ops[i-1], true
}

// maxEHIndex bounds the index, in bytes: 8 for each function.
const maxEHIndex = 64 << 20

// ehUnwinder unwinds by EHABI tables.
type ehUnwinder struct {
	space *Space
	table *EHTable // of vmlinux, in link addresses
	code  Range    // what it is about
}

func newEHUnwinder(s *Space) (*ehUnwinder, error) {
	im := s.im
	start, err := im.Symbol("__start_unwind_idx")
	if err != nil {
		return nil, err
	}
	end, err := im.Symbol("__stop_unwind_idx")
	if err != nil {
		return nil, err
	}
	if end.Addr < start.Addr || end.Addr-start.Addr > maxEHIndex {
		return nil, fmt.Errorf("%s: unwind table from %#x to %#x: %w", im.path, start.Addr, end.Addr, ErrCorrupt)
	}
	index := make([]byte, end.Addr-start.Addr)
	if err := im.Read(start.Addr, index); err != nil {
		return nil, err
	}
	t, err := ReadEHTable(im.arch, index, start.Addr, im.Read)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", im.path, err)
	}
	return &ehUnwinder{s, t, im.moved()}, nil
}

// ehState is the registers r0 to r15 of one frame.
type ehState struct {
	r     [16]uint32
	known uint16
}

const ehFP, ehSP, ehLR, ehPC = 11, 13, 14, 15

func (s *ehState) set(n int, v uint32) { s.r[n], s.known = v, s.known|1<<n }

func (u *ehUnwinder) unwind(seq uint64, start frameState, stack copied, out []guestmem.GVA) (int, bool) {
	var s ehState
	s.set(ehSP, uint32(start.sp))
	s.set(ehFP, uint32(start.fp))
	pc, exact := uint32(start.pc), start.exact
	for n := range out {
		at := pc
		if !exact {
			at--
		}
		table := u.tableAt(seq, at)
		if table == nil {
			return n, false
		}
		ops, ok := table.find(at)
		if ok && ops == nil {
			return n, true // where the kernel ends its own traces
		}
		before := s.r[ehSP]
		s.known &^= 1<<ehPC | 1<<ehLR
		if !ok || s.run(ops, stack) != nil || s.r[ehSP] < before {
			return n, false
		}
		// Where all registers are saved, an exception came between two
		// instructions.
		exact = s.known>>ehPC&1 == 1 && s.known>>ehLR&1 == 1 && s.r[ehPC] != s.r[ehLR]
		switch {
		case s.known>>ehPC&1 == 1:
			pc = s.r[ehPC]
		case s.known>>ehLR&1 == 1:
			pc = s.r[ehLR]
		default:
			return n, false
		}
		if !u.space.maybeCode(uint64(pc)) {
			return n, false
		}
		out[n] = guestmem.GVA(pc)
	}
	return len(out), true
}

func (u *ehUnwinder) tableAt(seq uint64, pc uint32) *EHTable {
	if link, ok := u.space.Link(guestmem.GVA(pc)); ok && u.code.Contains(link) {
		return u.table
	}
	m := u.space.moduleAt(guestmem.GVA(pc), seq)
	if m == nil {
		return nil
	}
	for _, t := range m.eh {
		if len(t.starts) > 0 && pc >= t.starts[0] && m.sameRange(guestmem.GVA(t.starts[0]), guestmem.GVA(pc)) {
			return t
		}
	}
	return nil
}

var errEH = errors.New("unwind instructions that cannot be followed")

// run carries out the instructions (EHABI32 section 10.3) on the registers.
func (s *ehState) run(ops []byte, stack copied) error {
	next := func() byte {
		if len(ops) == 0 {
			return ehFinish
		}
		b := ops[0]
		ops = ops[1:]
		return b
	}
	sp := s.r[ehSP]
	// pop loads the registers of mask, of which bit 0 is register first.
	pop := func(mask uint16, first int) error {
		for n := first; mask != 0; n, mask = n+1, mask>>1 {
			if mask&1 == 0 {
				continue
			}
			v, ok := stack.word(uint64(sp))
			if !ok {
				return errEH
			}
			sp += 4
			s.set(n, uint32(v))
		}
		return nil
	}
	for {
		op := next()
		var err error
		switch {
		case op&0xc0 == 0x00:
			sp += uint32(op&0x3f)<<2 + 4
		case op&0xc0 == 0x40:
			sp -= uint32(op&0x3f)<<2 + 4
		case op&0xf0 == 0x80:
			mask := uint16(op&0xf)<<8 | uint16(next())
			if mask == 0 {
				return errEH
			}
			popped := sp
			if err = pop(mask, 4); err == nil && mask>>(ehSP-4)&1 == 1 && s.r[ehSP] > popped {
				sp = s.r[ehSP]
			}
		case op&0xf0 == 0x90 && op != 0x9d && op != 0x9f:
			n := int(op & 0xf)
			if s.known>>n&1 == 0 {
				return errEH
			}
			sp = s.r[n]
		case op&0xf0 == 0xa0:
			if err = pop(1<<(op&7+1)-1, 4); err == nil && op&8 != 0 {
				err = pop(1, ehLR)
			}
		case op == ehFinish:
			s.set(ehSP, sp)
			return nil
		case op == 0xb1:
			mask := next()
			if mask == 0 || mask&0xf0 != 0 {
				return errEH
			}
			err = pop(uint16(mask), 0)
		case op == 0xb2:
			n, shift := uint32(0), 0
			for {
				b := next()
				n |= uint32(b&0x7f) << min(shift, 31)
				if shift += 7; b&0x80 == 0 || shift > 28 {
					break
				}
			}
			sp += 0x204 + n<<2
		default: // registers that the kernel does not use
			return errEH
		}
		if err != nil {
			return err
		}
	}
}

const ehFinish = 0xb0
