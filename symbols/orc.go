package symbols

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
)

// ORC is the kernel's own unwind format (Documentation/arch/x86/orc-unwinder.rst,
// arch/x86/include/asm/orc_types.h): a sorted table of 32-bit offsets, each
// relative to its own place, which gives the code addresses at which the
// rule changes, and beside it a table of struct orc_entry, the rules.
//
// What the bits of a rule mean has changed: fb799447ae29 ("x86,objtool: Split
// UNWIND_HINT_EMPTY in two", 6.4) replaced the bit "end" by two types, which
// renumbered the others. ffb1b4a41016 (6.3) moved "end" for a new bit
// "signal". The structure's members tell which it is.

// Base registers of a rule; the numbers have not changed since ee9f8fce9964
// (4.14).
const (
	orcRegUndefined  = 0
	orcRegPrevSP     = 1
	orcRegDX         = 2
	orcRegDI         = 3
	orcRegBP         = 4
	orcRegSP         = 5
	orcRegR10        = 6
	orcRegR13        = 7
	orcRegBPIndirect = 8
	orcRegSPIndirect = 9
)

// Kinds of frame, as 6.4 and later number them.
const (
	orcUndefined   = 0
	orcEndOfStack  = 1
	orcCall        = 2
	orcRegs        = 3
	orcRegsPartial = 4
)

// orcRow is one rule.
type orcRow struct {
	spOffset, bpOffset int16
	spReg, bpReg       uint8
	kind               uint8
}

// orcFramePointer is the rule of a function with a frame pointer, which the
// kernel assumes of code that no table covers (unwind_orc.c, orc_fp_entry).
var orcFramePointer = orcRow{kind: orcCall, spReg: orcRegBP, spOffset: 16, bpReg: orcRegPrevSP, bpOffset: -16}

// orcLayout says where struct orc_entry has what.
type orcLayout struct {
	order                                  binary.ByteOrder
	size                                   uint64
	spOffset, bpOffset, spReg, bpReg, kind Field
	end                                    Field // of kernels before 6.4
	old                                    bool
}

// orcLayout reads the layout out of the kernel's types.
func (im *Image) orcLayout() (*orcLayout, error) {
	s, err := im.Struct("orc_entry", "unwind_next_frame")
	if err != nil {
		return nil, err
	}
	return orcLayoutOf(s, im.elf.ByteOrder)
}

func orcLayoutOf(s *Struct, order binary.ByteOrder) (_ *orcLayout, err error) {
	l := &orcLayout{order: order, size: s.Size}
	for name, f := range map[string]*Field{
		"sp_offset": &l.spOffset, "bp_offset": &l.bpOffset, "sp_reg": &l.spReg, "bp_reg": &l.bpReg, "type": &l.kind,
	} {
		if *f, err = s.Field(name); err != nil {
			return nil, err
		}
	}
	if s.Has("end") {
		l.old = true
		if l.end, err = s.Field("end"); err != nil {
			return nil, err
		}
	}
	if !l.old && l.kind.BitSize < 3 {
		return nil, fmt.Errorf("%s: struct %s: the layout is of a kind that is not known", s.im, s.Name)
	}
	for _, f := range []Field{l.spOffset, l.bpOffset, l.spReg, l.bpReg, l.kind, l.end} {
		if f.Offset+f.Size > l.size || l.size > 64 {
			return nil, fmt.Errorf("%s: struct %s: %w", s.im, s.Name, ErrCorrupt)
		}
	}
	return l, nil
}

// field reads a member of the entry that b starts with.
func (l *orcLayout) field(b []byte, f Field) uint64 {
	b = b[f.Offset:]
	switch f.Size {
	case 1:
		return f.Bits(uint64(b[0]))
	case 2:
		return f.Bits(uint64(l.order.Uint16(b)))
	case 4:
		return f.Bits(uint64(l.order.Uint32(b)))
	}
	return 0
}

// row decodes one entry, of l.size bytes.
func (l *orcLayout) row(b []byte) orcRow {
	r := orcRow{
		spOffset: int16(l.field(b, l.spOffset)),
		bpOffset: int16(l.field(b, l.bpOffset)),
		spReg:    uint8(l.field(b, l.spReg)),
		bpReg:    uint8(l.field(b, l.bpReg)),
		kind:     uint8(l.field(b, l.kind)),
	}
	if !l.old {
		return r
	}
	// Types 0, 1, 2 were CALL, REGS, REGS_PARTIAL, and without a stack
	// register there is no frame before.
	switch {
	case r.spReg == orcRegUndefined && l.field(b, l.end) != 0:
		r.kind = orcEndOfStack
	case r.spReg == orcRegUndefined:
		r.kind = orcUndefined
	default:
		r.kind += orcCall
	}
	return r
}

// orcTable is the rules of vmlinux or of one module.
type orcTable struct {
	layout  *orcLayout
	ips     []uint64 // where a rule begins, ascending
	entries []byte
}

// newORCTable reads the two tables; ip is at the address ipAddr. The result
// is about addresses of the same kind as ipAddr, link or run-time.
func newORCTable(l *orcLayout, ip, entries []byte, ipAddr uint64) (*orcTable, error) {
	n := len(ip) / 4
	if len(ip)%4 != 0 || l.size == 0 || uint64(len(entries)) != uint64(n)*l.size {
		return nil, fmt.Errorf("unwind tables of %d and %d bytes do not belong together: %w", len(ip), len(entries), ErrCorrupt)
	}
	t := &orcTable{layout: l, ips: make([]uint64, n)}
	sorted := true
	for i := range t.ips {
		at := ipAddr + uint64(i)*4
		t.ips[i] = at + uint64(int64(int32(l.order.Uint32(ip[i*4:]))))
		sorted = sorted && (i == 0 || t.ips[i-1] <= t.ips[i])
	}
	if sorted {
		t.entries = slices.Clone(entries)
		return t, nil
	}
	// vmlinux is sorted at build time since 5.6, modules when they are
	// loaded.
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return t.ips[order[a]] < t.ips[order[b]] })
	ips := make([]uint64, n)
	t.entries = make([]byte, 0, len(entries))
	for i, from := range order {
		ips[i] = t.ips[from]
		t.entries = append(t.entries, entries[uint64(from)*l.size:uint64(from+1)*l.size]...)
	}
	t.ips = ips
	return t, nil
}

// find returns the rule for the instruction at pc.
func (t *orcTable) find(pc uint64) (orcRow, bool) {
	lo, hi := 0, len(t.ips) // the first that is above pc is in [lo, hi]
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if t.ips[mid] <= pc {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return orcRow{}, false
	}
	at := uint64(lo-1) * t.layout.size
	return t.layout.row(t.entries[at : at+t.layout.size]), true
}

// readORC returns the table of vmlinux, in link addresses. It wraps
// ErrNotFound for a kernel without one.
func (im *Image) readORC() (_ *orcTable, err error) {
	defer guard(im.path, &err)()
	ip, rules := im.named(".orc_unwind_ip"), im.named(".orc_unwind")
	if ip == nil || rules == nil {
		return nil, im.notFound("section", ".orc_unwind")
	}
	l, err := im.orcLayout()
	if err != nil {
		return nil, err
	}
	ipBytes, err := im.content(ip)
	if err != nil {
		return nil, err
	}
	ruleBytes, err := im.content(rules)
	if err != nil {
		return nil, err
	}
	t, err := newORCTable(l, ipBytes, ruleBytes, ip.addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", im.path, err)
	}
	return t, nil
}
