package guestmem

// maxTables bounds how many page tables there are: those of 1 TB in pages of
// 4 KB.
const maxTables = 1 << 20

// Tables calls fn with where each of the address space's page tables is, the
// root first. Tables that lie outside the guest's RAM are left out, and so is
// what comes after an impossible number of them.
func (s *AddressSpace) Tables(fn func(Range[GPA])) {
	if s.off {
		return
	}
	w := tableWalk{s: s, fn: fn, seen: map[GPA]bool{}}
	w.walk(0, s.root)
}

type tableWalk struct {
	s    *AddressSpace
	fn   func(Range[GPA])
	seen map[GPA]bool
}

func (w *tableWalk) walk(level int, table GPA) {
	l, size := w.s.levels[level], w.s.arch.Paging.EntrySize
	n := (1 << l.Bits) * size
	if w.seen[table] || len(w.seen) >= maxTables {
		return
	}
	b, err := w.s.phys.ViewPhys(table, n)
	if err != nil {
		return
	}
	w.seen[table] = true
	w.fn(Range[GPA]{Start: table, End: table + GPA(len(b))})
	if level == len(w.s.levels)-1 {
		return
	}
	for ; len(b) >= size; b = b[size:] {
		if e := w.s.arch.Paging.Entry(w.s.arch, b); !l.Absent.Holds(e) && !l.Leaf.Holds(e) {
			w.walk(level+1, GPA(e&l.Frame))
		}
	}
}
