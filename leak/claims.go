package leak

import (
	"sort"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/kernel"
)

// claims are the physical ranges that something else than the generic page
// roots accounts for: tracked objects, per-CPU chunks, the kernel's image.
type claims struct {
	mem    *guestmem.AddressSpace
	ranges []guestmem.Range[guestmem.GPA]
}

// add claims the pages behind a virtual range, as far as there are any.
func (c *claims) add(r guestmem.Range[guestmem.GVA], pageSize uint64) {
	for at := r.Start; at < r.End; {
		gpa, left, err := c.mem.Translate(at)
		if err != nil {
			left = pageSize - uint64(at)%pageSize
		} else {
			n := min(left, uint64(r.End-at))
			c.ranges = append(c.ranges, guestmem.Range[guestmem.GPA]{Start: gpa, End: gpa + guestmem.GPA(n)})
		}
		next := at + guestmem.GVA(left)
		if next <= at {
			return
		}
		at = next
	}
}

// merge sorts the ranges and joins those that touch.
func (c *claims) merge() {
	sort.Slice(c.ranges, func(i, j int) bool { return c.ranges[i].Start < c.ranges[j].Start })
	out := c.ranges[:0]
	for _, r := range c.ranges {
		if n := len(out); n > 0 && r.Start <= out[n-1].End {
			out[n-1].End = max(out[n-1].End, r.End)
			continue
		}
		out = append(out, r)
	}
	c.ranges = out
}

// has says whether an address is claimed. Call merge before.
func (c *claims) has(a guestmem.GPA) bool {
	i := sort.Search(len(c.ranges), func(i int) bool { return c.ranges[i].End > a })
	return i < len(c.ranges) && c.ranges[i].Start <= a
}

// rest calls fn with the parts of r, a range of page frames, that are not
// claimed, in bytes from the range's start. Call merge before.
func (c *claims) rest(pages *kernel.Pages, r kernel.PageRange, fn func(from, to uint64)) {
	phys := pages.Phys(r)
	at := phys.Start
	i := sort.Search(len(c.ranges), func(i int) bool { return c.ranges[i].End > at })
	for ; i < len(c.ranges) && c.ranges[i].Start < phys.End; i++ {
		if start := c.ranges[i].Start; start > at {
			fn(uint64(at-phys.Start), uint64(start-phys.Start))
		}
		at = max(at, c.ranges[i].End)
	}
	if at < phys.End {
		fn(uint64(at-phys.Start), uint64(phys.End-phys.Start))
	}
}

// without returns the parts of r that no range of holes covers. holes are
// sorted and disjoint.
func without(r guestmem.Range[guestmem.GVA], holes []guestmem.Range[guestmem.GVA]) []guestmem.Range[guestmem.GVA] {
	var out []guestmem.Range[guestmem.GVA]
	at := r.Start
	for _, h := range holes {
		if h.End <= at || h.Start >= r.End {
			continue
		}
		if h.Start > at {
			out = append(out, guestmem.Range[guestmem.GVA]{Start: at, End: h.Start})
		}
		at = max(at, h.End)
	}
	if at < r.End {
		out = append(out, guestmem.Range[guestmem.GVA]{Start: at, End: r.End})
	}
	return out
}
