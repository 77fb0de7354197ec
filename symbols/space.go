package symbols

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Space is the symbol map of a running guest: the kernel, moved by its KASLR
// slide, and the modules as they come and go. Event numbers say when: they
// are those of the run, ascending. A Space is not for several goroutines at
// once.
type Space struct {
	im      *Image
	slide   uint64
	moved   Range // link addresses that the slide applies to
	modules []*module
	orc     *orcLayout // of modules' tables; nil where not known
	orcErr  error
}

// Frame is an address in words.
type Frame struct {
	// Symbol is empty where nothing is known of the address.
	Symbol string
	Offset uint64 // from the symbol, in bytes
	// Size is the distance to the next symbol, as the kernel prints it: its
	// own table has no sizes, so that padding counts.
	Size   uint64
	Module string // empty for the kernel
}

// NewSpace makes the map of a guest whose kernel runs slide bytes above its
// link addresses.
func NewSpace(im *Image, slide uint64) *Space {
	s := &Space{im: im, slide: slide, moved: im.moved()}
	s.orc, s.orcErr = im.orcLayout()
	return s
}

// moved returns the part of the link addresses that is the kernel's image,
// _text to _end of every linker script. Others are not moved: offsets of
// per-CPU variables where those are linked at zero, and absolute symbols.
func (im *Image) moved() Range {
	for _, name := range []string{"_text", "_stext"} {
		start, err1 := im.Symbol(name)
		end, err2 := im.Symbol("_end")
		if err1 == nil && err2 == nil && start.Addr < end.Addr {
			return Range{Start: start.Addr, End: end.Addr}
		}
	}
	return Range{Start: 0, End: ^uint64(0)}
}

// Image returns the kernel's image.
func (s *Space) Image() *Image { return s.im }

// Slide returns the distance between run-time and link addresses.
func (s *Space) Slide() uint64 { return s.slide }

// Runtime returns the run-time address of a link address of the kernel's
// image. What is no address in it is returned as it is.
func (s *Space) Runtime(link uint64) guestmem.GVA {
	if s.moved.Contains(link) || link == s.moved.End {
		link += s.slide
	}
	return guestmem.GVA(link)
}

// Link is the reverse of Runtime: ok is false for what is not in the
// kernel's image.
func (s *Space) Link(a guestmem.GVA) (link uint64, ok bool) {
	link = uint64(a) - s.slide
	return link, s.moved.Contains(link)
}

// Addr returns the run-time address of a kernel symbol. Of a per-CPU variable
// that is linked at zero it is the offset. Errors are those of Image.Symbol.
func (s *Space) Addr(name string) (guestmem.GVA, error) {
	sym, err := s.im.Symbol(name)
	if err != nil {
		return 0, err
	}
	return s.Runtime(sym.Addr), nil
}

// Resolve names the code at pc, with the modules that were loaded at event
// number seq.
func (s *Space) Resolve(pc guestmem.GVA, seq uint64) Frame { return s.resolve(pc, pc, seq) }

// ResolveReturn names a return address: the function is that of the call
// before it, which matters where the call is a function's last instruction,
// and the offset the true one.
func (s *Space) ResolveReturn(pc guestmem.GVA, seq uint64) Frame {
	f := s.resolve(pc-1, pc, seq)
	if f.Symbol == "" {
		return s.resolve(pc, pc, seq)
	}
	return f
}

func (s *Space) resolve(at, pc guestmem.GVA, seq uint64) Frame {
	if link, ok := s.Link(at); ok {
		sym, size, ok := s.im.syms.codeAt(link)
		if !ok {
			return Frame{}
		}
		return Frame{Symbol: sym.Name, Offset: uint64(pc) - s.slide - sym.Addr, Size: size}
	}
	m := s.moduleAt(at, seq)
	if m == nil {
		return Frame{}
	}
	name, start, size, ok := m.symbolAt(at)
	if !ok {
		return Frame{Module: m.name}
	}
	return Frame{Symbol: name, Offset: uint64(pc) - start, Size: size, Module: m.name}
}

// LineOf returns the source line of an address, by the kernel's debug
// information or by the file of the module that it is in.
func (s *Space) LineOf(pc guestmem.GVA, seq uint64) (file string, line int, ok bool) {
	if link, ok := s.Link(pc); ok {
		return s.im.Line(link)
	}
	m := s.moduleAt(pc, seq)
	if m == nil || m.image == nil {
		return "", 0, false
	}
	name, start, _, ok := m.symbolAt(pc)
	if !ok {
		return "", 0, false
	}
	sym, err := m.image.Symbol(name)
	if err != nil {
		return "", 0, false
	}
	return m.image.Line(sym.Addr + uint64(pc) - start)
}

// maybeCode says whether an address can be code at all. The kernel has more
// code than symbols: what BPF and ftrace generate.
func (s *Space) maybeCode(pc uint64) bool {
	return pc >= s.im.arch.Linux.Text && pc != 0
}

// orcTables reads a module's unwind tables, nil without any.
func (s *Space) orcTables(m *Module) (*orcTable, error) {
	if len(m.ORCIP) == 0 && len(m.ORC) == 0 {
		return nil, nil
	}
	if s.orc == nil {
		return nil, fmt.Errorf("module %s: unwind tables, but their layout is not known: %w", m.Name, s.orcErr)
	}
	t, err := newORCTable(s.orc, m.ORCIP, m.ORC, uint64(m.ORCIPAddr))
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", m.Name, err)
	}
	return t, nil
}

// AssignedAt is Image.AssignedAt for a return address of the running kernel
// or of a module whose file is known, nil for others.
func (s *Space) AssignedAt(ret guestmem.GVA, seq uint64) ([]Assigned, error) {
	im, link := s.imageAt(ret, seq)
	if im == nil {
		return nil, nil
	}
	return im.AssignedAt(link)
}

// imageAt returns the file that has the debug information for the code before
// an address, and the address in it; nil where there is none.
func (s *Space) imageAt(ret guestmem.GVA, seq uint64) (im *Image, link uint64) {
	if link, ok := s.Link(ret - 1); ok {
		return s.im, link + 1
	}
	m := s.moduleAt(ret-1, seq)
	if m == nil || m.image == nil {
		return nil, 0
	}
	name, start, _, ok := m.symbolAt(ret - 1)
	if !ok {
		return nil, 0
	}
	sym, err := m.image.Symbol(name)
	if err != nil {
		return nil, 0
	}
	return m.image, sym.Addr + uint64(ret) - start
}
