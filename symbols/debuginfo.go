package symbols

import (
	"debug/dwarf"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// debugInfo is an image's DWARF.
type debugInfo struct {
	im    *Image
	data  *dwarf.Data
	info  []byte // .debug_info
	units []unit // by offset
	spans []span // by address

	loc, loclists, addr []byte // .debug_loc, .debug_loclists, .debug_addr
	line, str, lineStr  []byte // .debug_line, .debug_str, .debug_line_str

	functions map[int][]function // by unit, ascending; guarded by im.mu

	varsOnce sync.Once
	vars     map[uint64]dwarf.Offset // types by address
	varsErr  error

	defsOnce sync.Once
	defs     *definitions
	defsErr  error

	enumsOnce sync.Once
	enums     map[string]enumerator
	enumsErr  error
}

// unit is a compilation unit, by offsets into .debug_info.
type unit struct {
	header, end uint64
	die         dwarf.Offset // of its first entry
}

// span says which unit the code in [start, end) is from.
type span struct {
	start, end uint64
	unit       int
}

// debug returns the image's DWARF, read on first use.
func (im *Image) debug() (*debugInfo, error) {
	im.dwarfOnce.Do(func() { im.dwarf, im.dwarfErr = im.readDebug() })
	return im.dwarf, im.dwarfErr
}

// HasDebugInfo says whether the file holds DWARF at all.
func (im *Image) HasDebugInfo() bool { return im.named(".debug_info") != nil }

func (im *Image) readDebug() (di *debugInfo, err error) {
	defer guard(im.path, &err)()
	if !im.HasDebugInfo() {
		return nil, im.noDebugInfo()
	}
	get := func(name string) []byte {
		s := im.named(".debug_" + name)
		if s == nil || err != nil {
			return nil
		}
		var b []byte
		if b, err = im.content(s); err == nil {
			b, err = im.relocate(s, b)
		}
		return b
	}
	di = &debugInfo{im: im, info: get("info"), loc: get("loc"), loclists: get("loclists")}
	abbrev, line, ranges, str := get("abbrev"), get("line"), get("ranges"), get("str")
	lineStr, addr, strOffsets, rnglists := get("line_str"), get("addr"), get("str_offsets"), get("rnglists")
	aranges := get("aranges")
	di.addr, di.line, di.str, di.lineStr = addr, line, str, lineStr
	if err != nil {
		return nil, err
	}
	if di.units, err = readUnits(di.info, im.elf.ByteOrder); err != nil {
		return nil, fmt.Errorf("%s: %w", im.path, err)
	}
	di.data, err = dwarf.New(abbrev, nil, nil, di.info, line, nil, ranges, str)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", im.path, ErrCorrupt, err)
	}
	for name, b := range map[string][]byte{"line_str": lineStr, "addr": addr, "str_offsets": strOffsets, "rnglists": rnglists} {
		if b == nil {
			continue
		}
		if err := di.data.AddSection(".debug_"+name, b); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", im.path, ErrCorrupt, err)
		}
	}
	// debug/dwarf finds out on first use where a unit's indexed strings and
	// addresses begin, and keeps it without a lock: so use all once, here.
	r := di.data.Reader()
	for _, u := range di.units {
		r.Seek(u.die)
	}
	if di.spans = di.readAranges(aranges); len(di.spans) == 0 {
		// clang writes none.
		if di.spans, err = di.unitRanges(); err != nil {
			return nil, err
		}
	}
	// Reading all headers has paged in most of these; few units are needed.
	im.release(di.info)
	im.release(abbrev)
	slices.SortFunc(di.spans, func(a, b span) int {
		if a.start < b.start {
			return -1
		}
		if a.start > b.start {
			return 1
		}
		return a.unit - b.unit
	})
	return di, nil
}

// readUnits lists the units of .debug_info from their headers (DWARF 5
// section 7.5.1; earlier versions have the same sizes without a unit type).
func readUnits(b []byte, order binary.ByteOrder) ([]unit, error) {
	if uint64(len(b)) > math.MaxUint32 {
		return nil, fmt.Errorf("%w: .debug_info has more than 4 GB, which debug/dwarf cannot address", ErrCorrupt)
	}
	var units []unit
	for at := uint64(0); at < uint64(len(b)); {
		length, size, n := initialLength(b[at:], order)
		if n == 0 || length > uint64(len(b))-at-n {
			return nil, fmt.Errorf("%w: a unit of .debug_info ends behind its end", ErrCorrupt)
		}
		u := unit{header: at, end: at + n + length}
		if length < 2 {
			return nil, fmt.Errorf("%w: a unit of .debug_info has no header", ErrCorrupt)
		}
		header := n + 2 + size + 1 // version, abbreviations, address size
		if version := order.Uint16(b[at+n:]); version >= 5 {
			header++ // unit type
			if length < 3 {
				return nil, fmt.Errorf("%w: a unit of .debug_info has no header", ErrCorrupt)
			}
			switch b[at+n+2] {
			case 0x02, 0x06: // DW_UT_type, DW_UT_split_type: signature and offset
				header += 8 + size
			case 0x04, 0x05: // DW_UT_skeleton, DW_UT_split_compile: identifier
				header += 8
			}
		}
		u.die = dwarf.Offset(at + header)
		if at = u.end; uint64(u.die) < u.end {
			units = append(units, u)
		}
	}
	if len(units) == 0 {
		return nil, fmt.Errorf("%w: .debug_info is empty", ErrNoDebugInfo)
	}
	return units, nil
}

// initialLength reads a DWARF length (DWARF 5 section 7.2.2): the length, the
// size of offsets that follow from it, and its own size, zero for an error.
func initialLength(b []byte, order binary.ByteOrder) (length, offset, n uint64) {
	if len(b) < 4 {
		return 0, 0, 0
	}
	if v := order.Uint32(b); v < 0xffff_fff0 {
		return uint64(v), 4, 4
	}
	if len(b) < 12 || order.Uint32(b) != 0xffff_ffff {
		return 0, 0, 0
	}
	return order.Uint64(b[4:]), 8, 12
}

// readAranges reads .debug_aranges (DWARF 5 section 6.1.2), which says where
// the code of each unit is. What cannot be read is left out.
func (di *debugInfo) readAranges(b []byte) []span {
	order := di.im.elf.ByteOrder
	var out []span
	for len(b) > 0 {
		length, size, n := initialLength(b, order)
		if n == 0 || length > uint64(len(b))-n {
			return out
		}
		set, header := b[:n+length], n+2+size+2
		b = b[n+length:]
		if uint64(len(set)) < header {
			return out
		}
		var at uint64
		if size == 8 {
			at = order.Uint64(set[n+2:])
		} else {
			at = uint64(order.Uint32(set[n+2:]))
		}
		i := sort.Search(len(di.units), func(i int) bool { return di.units[i].header >= at })
		if i == len(di.units) || di.units[i].header != at {
			continue
		}
		word := int(set[n+2+size])
		if (word != 4 && word != 8) || set[n+2+size+1] != 0 {
			continue
		}
		tuple := uint64(2 * word)
		for p := (header + tuple - 1) / tuple * tuple; p+tuple <= uint64(len(set)); p += tuple {
			var start, size uint64
			if word == 8 {
				start, size = order.Uint64(set[p:]), order.Uint64(set[p+8:])
			} else {
				start, size = uint64(order.Uint32(set[p:])), uint64(order.Uint32(set[p+4:]))
			}
			if size > 0 && start+size > start {
				out = append(out, span{start, start + size, i})
			}
		}
	}
	return out
}

// unitRanges is readAranges by the units' own first entries.
func (di *debugInfo) unitRanges() ([]span, error) {
	var out []span
	for i, u := range di.units {
		e, err := di.unitEntries(u).next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", di.im.path, ErrCorrupt, err)
		}
		if e == nil || e.Tag != dwarf.TagCompileUnit {
			continue
		}
		ranges, err := di.data.Ranges(e)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", di.im.path, ErrCorrupt, err)
		}
		for _, rg := range ranges {
			if rg[1] > rg[0] {
				out = append(out, span{rg[0], rg[1], i})
			}
		}
	}
	return out, nil
}

// unitAt returns the index of the unit that the code at addr is from.
func (di *debugInfo) unitAt(addr uint64) (int, bool) {
	i := sort.Search(len(di.spans), func(i int) bool { return di.spans[i].start > addr }) - 1
	// Spans rarely overlap, so that one that covers addr is the last or near.
	for j := i; j >= 0 && j > i-8; j-- {
		if addr < di.spans[j].end {
			return di.spans[j].unit, true
		}
	}
	return 0, false
}

// unitsOf returns the units that the named functions are from. Names that do
// not exist are passed over: which exist depends on the kernel.
func (di *debugInfo) unitsOf(near []string) []int {
	var out []int
	for _, name := range near {
		list := di.im.Symbols(name)
		for _, i := range di.im.syms.clones[name] {
			list = append(list, di.im.syms.all[i])
		}
		for _, s := range list {
			if u, ok := di.unitAt(s.Addr); ok && !slices.Contains(out, u) {
				out = append(out, u)
			}
		}
	}
	return out
}

// errStop ends a walk early.
var errStop = errors.New("stop")

// topLevel calls fn for each entry directly below a unit's first one. The
// reader stands behind the entry, before its children if it has any, and fn
// may read them: it then returns true.
func (di *debugInfo) topLevel(u unit, fn func(r *entries, e *dwarf.Entry) (consumed bool, err error)) error {
	r := di.unitEntries(u)
	e, err := r.next()
	if err != nil || e == nil || !e.Children {
		return err
	}
	for {
		e, err := r.next()
		if err != nil || e == nil || e.Tag == 0 {
			return err
		}
		consumed, err := fn(r, e)
		if err == errStop {
			return nil
		}
		if err != nil {
			return err
		}
		if consumed {
			continue
		}
		if err := r.skipChildren(e); err != nil {
			return err
		}
	}
}

// eachUnit runs fn for all units on so many goroutines, with their numbers
// from 0, and drops the pages of .debug_info as it goes.
func (di *debugInfo) eachUnit(workers int, fn func(worker int, u unit) error) error {
	var wg sync.WaitGroup
	errs := make([]error, workers)
	const batch = 64
	var next atomic.Int64
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer guard(di.im.path, &errs[w])()
			for {
				to := int(next.Add(batch))
				from := to - batch
				if from >= len(di.units) {
					return
				}
				to = min(to, len(di.units))
				for _, u := range di.units[from:to] {
					if err := fn(w, u); err != nil {
						errs[w] = fmt.Errorf("%s: %w: %w", di.im.path, ErrCorrupt, err)
						return
					}
				}
				di.im.release(di.info[di.units[from].header:di.units[to-1].end])
			}
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}
