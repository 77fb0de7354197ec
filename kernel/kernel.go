package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// Kernel reads one paused guest. Its methods may be called from several
// goroutines while the guest stands still; it keeps nothing that a running
// guest would invalidate, so that it serves for every pause of one boot.
type Kernel struct {
	mem   guestmem.Reader
	phys  guestmem.Physical
	info  debugInfo
	arch  *arch.Arch
	slide uint64
	lay   layouts

	perCPUSlide uint64
}

// layouts has every member that the readers use, by reader.
type layouts struct {
	list        listLayout
	percpu      perCPULayout
	task        taskLayout
	stack       stackLayout
	module      moduleLayout
	page        pageLayout
	slab        slabLayout
	vmap        vmapLayout
	memblk      memblockLayout
	time        timeLayout
	kfence      kfenceLayout
	bookkeeping bookkeepingLayout
	leftover    leftoverLayout
	kmemleak    kmemleakLayout
}

// New returns a reader of the kernel im, which runs slide bytes above its
// link address: mem is its own (kernel) address space, phys the memory below.
// It looks up all types and symbols at once; where something is missing that
// no supported kernel lacks, the error is a *MissingError.
func New(mem guestmem.Memory, phys guestmem.Physical, im *symbols.Image, slide uint64) (*Kernel, error) {
	return newKernel(mem, phys, imageInfo{im}, slide)
}

func newKernel(mem guestmem.Memory, phys guestmem.Physical, info debugInfo, slide uint64) (*Kernel, error) {
	a := info.arch()
	if a.WordSize != 4 && a.WordSize != 8 {
		return nil, fmt.Errorf("words of %d bytes: %w", a.WordSize, ErrUnsupported)
	}
	k := &Kernel{
		mem:         guestmem.Reader{Memory: mem, Arch: a},
		phys:        phys,
		info:        info,
		arch:        a,
		slide:       slide,
		perCPUSlide: perCPUSlide(info, slide),
	}
	l := newLayout(info)
	k.lay = layouts{
		list:        newListLayout(l),
		percpu:      newPerCPULayout(l),
		task:        newTaskLayout(l),
		module:      newModuleLayout(l),
		page:        newPageLayout(l),
		slab:        newSlabLayout(l),
		vmap:        newVmapLayout(l),
		memblk:      newMemblockLayout(l),
		time:        newTimeLayout(l),
		kfence:      newKFENCELayout(l),
		bookkeeping: newBookkeepingLayout(l),
		leftover:    newLeftoverLayout(l),
		kmemleak:    newKmemleakLayout(l),
	}
	k.lay.stack = newStackLayout(l, slide)
	if err := l.result(); err != nil {
		return nil, err
	}
	return k, nil
}

// On returns the same reader over other memory: mem is the kernel's address
// space and phys the memory below.
func (k *Kernel) On(mem guestmem.Memory, phys guestmem.Physical) *Kernel {
	c := *k
	c.mem, c.phys = guestmem.Reader{Memory: mem, Arch: k.arch}, phys
	return &c
}

// Arch returns the guest's architecture.
func (k *Kernel) Arch() *arch.Arch { return k.arch }

// Slide returns what is added to link addresses.
func (k *Kernel) Slide() uint64 { return k.slide }

// Addr returns the running kernel's address of a symbol that is not per-CPU.
func (k *Kernel) Addr(name string) (guestmem.GVA, bool) {
	s, ok := k.info.symbol(name)
	return guestmem.GVA(s.Addr + k.slide), ok
}

// span returns the range between two symbols.
func (k *Kernel) span(start, end string) (guestmem.Range[guestmem.GVA], bool) {
	s, ok1 := k.Addr(start)
	e, ok2 := k.Addr(end)
	return guestmem.Range[guestmem.GVA]{Start: s, End: e}, ok1 && ok2 && s < e
}

// word reads the word at a symbol.
func (k *Kernel) word(name string) (uint64, error) {
	at, ok := k.Addr(name)
	if !ok {
		return 0, fmt.Errorf("symbol %s: %w", name, ErrUnsupported)
	}
	v, err := k.mem.Word(at)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// number reads the integer variable at a symbol, of the symbol's size.
func (k *Kernel) number(name string) (uint64, error) {
	s, ok := k.info.symbol(name)
	if !ok {
		return 0, fmt.Errorf("symbol %s: %w", name, ErrUnsupported)
	}
	size := int(s.Size)
	switch size {
	case 1, 2, 4, 8:
	default:
		size = 4 // int
	}
	v, err := k.mem.Uint(guestmem.GVA(s.Addr+k.slide), size)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// pageSize returns the size of a page in bytes.
func (k *Kernel) pageSize() uint64 {
	if k.arch.Paging == nil {
		return 4096
	}
	return 1 << k.arch.Paging.PageShift
}

// record reads the members of one structure; the first error stays.
type record struct {
	k    *Kernel
	base guestmem.GVA
	err  error
}

func (k *Kernel) at(base guestmem.GVA) *record { return &record{k: k, base: base} }

// get reads a member; zero after an error and for a member that this kernel
// does not have (of size zero).
func (r *record) get(m member) uint64 {
	if r.err != nil || m.Size == 0 {
		return 0
	}
	v, err := r.k.mem.Uint(r.base+guestmem.GVA(m.Offset), int(min(m.Size, 8)))
	if err != nil {
		r.err = err
		return 0
	}
	return m.Bits(v)
}

func (r *record) ptr(m member) guestmem.GVA { return guestmem.GVA(r.get(m)) }

// text reads a member that is an array of char.
func (r *record) text(m member) string {
	if r.err != nil {
		return ""
	}
	b := make([]byte, min(m.Size, 256))
	if err := guestmem.Read(r.k.mem, r.base+guestmem.GVA(m.Offset), b); err != nil {
		r.err = err
		return ""
	}
	return text(b)
}

// addr returns the address of a member.
func (r *record) addr(m member) guestmem.GVA { return r.base + guestmem.GVA(m.Offset) }
