package guestmem

import (
	"runtime"
	"sort"
	"sync"
)

// snapshotPage is what a Snapshot has whole or not at all, in bytes.
const snapshotPage = 1 << 12

// Snapshot is a copy of parts of a guest's physical memory. It is what can be
// looked at when the guest runs on. The zero value is an empty one.
//
// Taking a snapshot again reuses the memory: the first time is slow, and the
// more so the first look at the guest's memory, so whoever is in a hurry
// takes one beforehand.
type Snapshot struct {
	ram   []Range[GPA]
	index [][]uint32 // for each page of each range its number in data, from 1; 0 for none
	data  []byte
}

var _ Physical = (*Snapshot)(nil)

// Take copies the pages of from in which ranges lie, which may be in any
// order and overlap. What of them is no memory is left out.
func (s *Snapshot) Take(from Physical, ranges []Range[GPA]) {
	s.ram = from.RAM()
	s.index = make([][]uint32, len(s.ram))
	for i, r := range s.ram {
		s.index[i] = make([]uint32, (r.Size()+snapshotPage-1)/snapshotPage)
	}
	type run struct {
		gpa GPA
		at  int // in data
		n   int
	}
	var runs []run
	pages := 0
	for _, r := range ranges {
		for k, ram := range s.ram {
			start, end := max(r.Start, ram.Start), min(r.End, ram.End)
			if start >= end {
				continue
			}
			last := uint64(end-ram.Start-1) / snapshotPage
			for i := uint64(start-ram.Start) / snapshotPage; i <= last; i++ {
				if s.index[k][i] != 0 {
					continue
				}
				pages++
				s.index[k][i] = uint32(pages)
				gpa := ram.Start + GPA(i*snapshotPage)
				n := int(min(snapshotPage, uint64(ram.End-gpa)))
				if last := len(runs) - 1; last >= 0 && runs[last].gpa+GPA(runs[last].n) == gpa && runs[last].n%snapshotPage == 0 {
					runs[last].n += n
				} else {
					runs = append(runs, run{gpa, (pages - 1) * snapshotPage, n})
				}
			}
		}
	}
	size := pages * snapshotPage
	if cap(s.data) < size {
		s.data = make([]byte, size, size+size/8)
	}
	s.data = s.data[:size]
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		lo, hi := size/workers*w, size/workers*(w+1)
		if w == workers-1 {
			hi = size
		}
		wg.Go(func() {
			// The run in which lo lies, or behind which it is the gap.
			k := max(sort.Search(len(runs), func(i int) bool { return runs[i].at > lo })-1, 0)
			for ; k < len(runs) && runs[k].at < hi; k++ {
				a, b := max(runs[k].at, lo), min(runs[k].at+runs[k].n, hi)
				copyPhys(s.data[min(a, b):b], from, runs[k].gpa+GPA(a-runs[k].at))
			}
		})
	}
	wg.Wait()
}

// copyPhys fills dst from gpa, with zeroes where nothing can be read.
func copyPhys(dst []byte, from Physical, gpa GPA) {
	for len(dst) > 0 {
		v, err := from.ViewPhys(gpa, len(dst))
		n := copy(dst, v)
		if err != nil || n == 0 {
			clear(dst)
			return
		}
		dst, gpa = dst[n:], gpa+GPA(n)
	}
}

// Bytes is how much memory was copied.
func (s *Snapshot) Bytes() uint64 { return uint64(len(s.data)) }

// RAM implements Physical: what the guest has, copied or not.
func (s *Snapshot) RAM() []Range[GPA] { return s.ram }

// Write changes the copy, where there is one.
func (s *Snapshot) Write(gpa GPA, b []byte) error {
	for len(b) > 0 {
		to, err := s.ViewPhys(gpa, len(b))
		if err != nil {
			return err
		}
		n := copy(to, b)
		b, gpa = b[n:], gpa+GPA(n)
	}
	return nil
}

// ViewPhys implements Physical. What was not copied cannot be read.
func (s *Snapshot) ViewPhys(gpa GPA, n int) ([]byte, error) {
	for k := range s.ram {
		r := &s.ram[k]
		if !r.Contains(gpa) {
			continue
		}
		off := uint64(gpa - r.Start)
		page, in := off/snapshotPage, off%snapshotPage
		first := s.index[k][page]
		if first == 0 {
			return nil, &AddressError{Addr: uint64(gpa), Phys: true, Reason: "not in the snapshot"}
		}
		n = max(n, 1)
		pages := uint64(1)
		for pages*snapshotPage-in < uint64(n) && page+pages < uint64(len(s.index[k])) && s.index[k][page+pages] == first+uint32(pages) {
			pages++
		}
		at := uint64(first-1)*snapshotPage + in
		size := min(pages*snapshotPage-in, uint64(n), uint64(r.End-gpa))
		return s.data[at : at+size : at+size], nil
	}
	return nil, &AddressError{Addr: uint64(gpa), Phys: true, Reason: "outside the guest's RAM"}
}
