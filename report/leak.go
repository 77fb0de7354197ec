package report

import (
	"cmp"
	"math"
	"slices"
)

// byLeak returns a copy of orphans ordered by leak: that which retains most
// first, of equal ones the oldest (in the given order where the ages are the
// same), and behind each direct orphan those that hang on it, in the given
// order. Orphans whose root is not among them, since it is too young to be
// told, stay together. Reports of before there were roots have direct orphans
// only.
func byLeak(orphans []Orphan) []Orphan {
	type leak struct {
		retained, age uint64
		members       []int // the direct orphan first
		direct        bool
	}
	index := map[Hex]int{}
	var leaks []leak
	of := func(root Hex) *leak {
		i, ok := index[root]
		if !ok {
			i = len(leaks)
			index[root] = i
			leaks = append(leaks, leak{})
		}
		return &leaks[i]
	}
	for i := range orphans {
		o := &orphans[i]
		root := o.Root
		if root == 0 {
			root = o.Address
		}
		l := of(root)
		if o.Root == 0 && !l.direct {
			l.direct, l.age = true, o.AgeMS
			l.members = slices.Insert(l.members, 0, i)
			l.retained = max(o.RetainedBytes, o.Size)
			continue
		}
		l.members = append(l.members, i)
		if !l.direct {
			l.age = max(l.age, o.AgeMS)
			l.retained = saturating(l.retained, o.Size)
		}
	}
	slices.SortStableFunc(leaks, func(a, b leak) int {
		return cmp.Or(cmp.Compare(b.retained, a.retained), cmp.Compare(b.age, a.age))
	})
	out := make([]Orphan, 0, len(orphans))
	for _, l := range leaks {
		for _, i := range l.members {
			o := orphans[i]
			if o.Direct = o.Root == 0; o.Direct {
				o.RetainedObjects = max(o.RetainedObjects, 1)
				o.RetainedBytes = max(o.RetainedBytes, o.Size)
			}
			out = append(out, o)
		}
	}
	return out
}

// heads says whether orphan i of a normalized report is the first of its leak.
func (r *Report) heads(i int) bool {
	o := &r.Orphans[i]
	return o.Root == 0 || i == 0 || r.Orphans[i-1].Root != o.Root && r.Orphans[i-1].Address != o.Root
}

func saturating(a, b uint64) uint64 {
	if a+b < a {
		return math.MaxUint64
	}
	return a + b
}
