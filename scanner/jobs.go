package scanner

import (
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
)

// job is a range to scan: of a root or a large object.
type job struct {
	stretch
	mem     guestmem.Memory
	exclude bool // Input.Exclude applies
}

// maxSplit is so many bytes of an object or root that its pages had better be
// found missing one after another.
const maxSplit = 1 << 34

// jobs are shared out in parts of maxRun bytes, those of maxSplit and more whole.
// A part is made when it is taken: a guest may have many objects of gigabytes.
type jobs struct {
	list []job
	ends []int // parts of each and of those before
}

func (s *jobs) add(list ...job) {
	for _, j := range list {
		n := 1
		if size := j.last - j.start; size < maxSplit {
			n += int(size / maxRun)
		}
		s.list, s.ends = append(s.list, j), append(s.ends, s.parts()+n)
	}
}

// parts returns how many parts there are.
func (s *jobs) parts() int {
	if len(s.ends) == 0 {
		return 0
	}
	return s.ends[len(s.ends)-1]
}

// part returns the i-th part.
func (s *jobs) part(i int) job {
	k := sort.SearchInts(s.ends, i+1)
	j := s.list[k]
	if k > 0 {
		i -= s.ends[k-1]
	}
	if j.last-j.start < maxSplit {
		j.start += uint64(i) * maxRun
		j.last = j.start + min(j.last-j.start, maxRun-1)
	}
	return j
}

func (s *jobs) clear() { s.list, s.ends = s.list[:0], s.ends[:0] }
