package guestmem

// Tables calls fn with the physical range of each table, the root's first, and
// goes down from those for which fn returns true; a table that is named twice
// is told twice. Tables outside of RAM are left out.
func (s *AddressSpace) Tables(fn func(Range[GPA]) bool) {
	if !s.off && len(s.levels) > 0 {
		s.tables(s.root, 0, 0, fn)
	}
}

func (s *AddressSpace) tables(table GPA, level int, larger uint, fn func(Range[GPA]) bool) {
	l, p := enlarge(s.levels[level], larger), s.arch.Paging
	entry := l.EntrySize
	r := Range[GPA]{Start: table, End: table + GPA(uint64(entry)<<l.Bits)}
	b, err := s.phys.ViewPhys(r.Start, int(r.Size()))
	if err != nil || !fn(r) || level == len(s.levels)-1 {
		return
	}
	for ; len(b) >= entry; b = b[entry:] {
		e := p.Entry(s.arch, b[:entry])
		if l.Absent.Holds(e) || l.Leaf.Holds(e) {
			continue
		}
		if next, ok := p.Address(l, e); ok {
			s.tables(GPA(next), level+1, uint(l.Larger.Of(e)), fn)
		}
	}
}
