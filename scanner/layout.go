package scanner

import "github.com/leakvisor/leakvisor/guestmem"

// Layout says which words of an object can hold pointers: what its type says.
// Offsets are in bytes from the start of the object or of the copy; ranges
// are ascending and disjoint.
type Layout struct {
	// Parts are what is scanned of the first Size bytes.
	Parts []guestmem.Range[uint64]
	Size  uint64
	// Repeat are what is scanned of each Period bytes behind these. With a
	// Period of zero all behind them is.
	Repeat []guestmem.Range[uint64]
	Period uint64
}

// maxRepeats bounds what a Layout makes of one object.
const maxRepeats = 1 << 20

// Each calls fn with the ranges of l that are in [lo, hi], by offset, both
// ends inclusive; those that touch are one.
func (l *Layout) Each(lo, hi uint64, fn func(lo, hi uint64)) {
	first, last, some := uint64(0), uint64(0), false
	defer func() {
		if some {
			fn(first, last)
		}
	}()
	clip := func(a, b uint64) {
		if a, b = max(a, lo), min(b, hi); a > b {
			return
		}
		if some && a == last+1 {
			last = b
			return
		}
		if some {
			fn(first, last)
		}
		first, last, some = a, b, true
	}
	for _, p := range l.Parts {
		if p.Start < p.End && p.Start < l.Size {
			clip(p.Start, min(p.End, l.Size)-1)
		}
	}
	if hi < l.Size {
		return
	}
	if l.Period == 0 || (hi-l.Size)/l.Period >= maxRepeats {
		clip(l.Size, hi)
		return
	}
	at := l.Size
	if lo > at {
		at += (lo - at) / l.Period * l.Period
	}
	for {
		for _, p := range l.Repeat {
			if p.Start < p.End && p.Start < l.Period && p.Start <= hi-at {
				clip(at+p.Start, at+min(min(p.End, l.Period)-1, hi-at))
			}
		}
		if hi-at < l.Period {
			return
		}
		at += l.Period
	}
}
