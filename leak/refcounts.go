package leak

import (
	"slices"
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
	refCountPath = "refs.counter"
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
	var out []report.RefCount
	for k, c := range counts {
		var b [refCountSize]byte
		if c.Offset+refCountSize > so.Size || guestmem.Read(p.mem, so.Addr+guestmem.GVA(c.Offset), b[:]) != nil {
			continue
		}
		c.Value = int32(s.arch.Uint(b[:]))
		switch first := len(out) == 1 && out[0].Value == 0; {
		case c.Value != 0 && first:
			out[0] = c
		case c.Value != 0 || k == 0:
			out = append(out, c)
		}
	}
	return slices.Clip(out[:min(len(out), maxRefCounts)])
}

// countsIn picks the reference counts of a structure.
func countsIn(leaves []symbols.Leaf) []report.RefCount {
	var out []report.RefCount
	for _, l := range leaves {
		path, ok := strings.CutSuffix(l.Path, refCountPath)
		if !ok || l.Size != refCountSize || path != "" && !strings.HasSuffix(path, ".") {
			continue
		}
		if path = strings.TrimSuffix(path, "."); path == "" {
			path = l.Path
		}
		out = append(out, report.RefCount{Member: path, Offset: l.At})
	}
	return out
}
