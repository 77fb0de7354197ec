package leak

import (
	"cmp"
	"strings"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
	"github.com/leakvisor/leakvisor/symbols"
)

const (
	maxRefCounts = 4    // that are told of one object
	maxLeaves    = 4096 // of a structure that are looked at
	refCountSize = 4    // bytes of a refcount_t
	// refCountPath ends the path of the number in a refcount_t
	// (include/linux/refcount.h, 6.1; refcount_types.h, 6.12), which krefs and
	// kobjects have in them, and in an atomic_t that is called so.
	refCountPath = ".refs.counter"
)

// refCounts returns the reference counts in an object whose type is known:
// those that are not zero, or if all are the first.
func (s *Session) refCounts(p *picture, i int) []report.RefCount {
	o, so := &p.objects[i], &p.in.Objects[i]
	st := s.structAt(o)
	if st == nil || so.Flag&scanner.NotMapped != 0 {
		return nil
	}
	counts, ok := s.types.counts[st]
	if !ok {
		counts = countsIn(st.Leaves(maxLeaves))
		s.types.counts[st] = counts
	}
	var some, none []report.RefCount
	for _, c := range counts {
		var b [refCountSize]byte
		if c.Offset+refCountSize > so.Size || guestmem.Read(p.mem, so.Addr+guestmem.GVA(c.Offset), b[:]) != nil {
			continue
		}
		if c.Value = int32(s.arch.Uint(b[:])); c.Value != 0 {
			some = append(some, c)
		} else {
			none = append(none, c)
		}
	}
	if len(some) == 0 {
		return none[:min(len(none), 1)]
	}
	return some[:min(len(some), maxRefCounts)]
}

// countsIn picks the reference counts of a structure.
func countsIn(leaves []symbols.Leaf) []report.RefCount {
	var out []report.RefCount
	for _, l := range leaves {
		path, ok := strings.CutSuffix("."+l.Path, refCountPath)
		if !ok || l.Size != refCountSize {
			continue
		}
		member := cmp.Or(strings.TrimPrefix(path, "."), l.Path)
		out = append(out, report.RefCount{Member: member, Offset: l.At})
	}
	return out
}
