package leak

import (
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
)

// place is where an orphan stands in its leak.
type place struct {
	root, parent   int // objects; of no use for a direct orphan
	direct, cycle  bool
	objects, bytes uint64 // retained by a direct orphan
}

// places returns the place of each orphan. Descriptors of vmalloc blocks are
// told with their blocks, and so passed over: a block is older than its
// descriptor, and leads to it.
func (p *picture) places(res *scanner.Result) map[int]place {
	out := map[int]place{}
	told := func(i int) bool { return !p.descriptors[p.objects[i].Addr] }
	for k := range res.Leaks {
		l := &res.Leaks[k]
		root := place{direct: true, objects: 1, bytes: p.objects[l.Object].Size}
		above := map[int]int{}
		for _, c := range l.Children {
			i, parent := int(c.Object), int(c.Parent)
			if block, ok := above[parent]; ok {
				parent = block
			}
			if !told(i) {
				above[i] = parent
				continue
			}
			out[i] = place{root: l.Object, parent: parent}
			root.objects++
			if root.bytes += p.objects[i].Size; root.bytes < p.objects[i].Size {
				root.bytes = ^uint64(0)
			}
		}
		// A block and its descriptor always refer to each other.
		root.cycle = l.Cycle && root.objects > 1
		out[l.Object] = root
	}
	return out
}

// byLeak lists the objects that are not reachable, leak by leak.
func byLeak(res *scanner.Result) []int {
	var out []int
	for k := range res.Leaks {
		out = append(out, res.Leaks[k].Object)
		for _, c := range res.Leaks[k].Children {
			out = append(out, int(c.Object))
		}
	}
	return out
}

// tell fills in what is known of an orphan's place.
func (l place) tell(p *picture, o *report.Orphan) {
	if l.direct {
		o.Cycle, o.RetainedObjects, o.RetainedBytes = l.cycle, l.objects, l.bytes
		return
	}
	o.Root, o.Parent = report.Hex(p.objects[l.root].Addr), report.Hex(p.objects[l.parent].Addr)
}
