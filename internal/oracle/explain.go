package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/leak"
	"github.com/leakvisor/leakvisor/scanner"
)

// explainer says why one of both reports an object.
type explainer struct {
	o     *oracle
	ctx   context.Context
	j     *leak.Judgement
	whole *leak.Judgement // of the same pause, looking where kmemleak looks
	index map[guestmem.GVA]int
	known map[guestmem.GVA]kernel.KmemleakObject
}

func (o *oracle) explainer(ctx context.Context, j *leak.Judgement, all []*scan) (*explainer, error) {
	e := &explainer{o: o, ctx: ctx, j: j, index: map[guestmem.GVA]int{}}
	for i := range j.Input.Objects {
		e.index[j.Input.Objects[i].Addr] = i
	}
	for _, s := range all {
		if s.j.Roots.Kmemleak {
			e.whole = s.j
		}
	}
	var err error
	e.known, err = j.Kernel.Kmemleak()
	return e, err
}

// why says why we do not report object i, and whether that is because
// kmemleak does not see everything.
func (e *explainer) why(i int) (why string, right bool, err error) {
	if rule, ok := e.j.Hidden[i]; ok {
		return "hidden by " + rule, false, nil
	}
	if e.j.Result.States[i] == scanner.Ignored {
		return "not judged: later objects cover it", false, nil
	}
	p, err := scanner.Explain(e.ctx, e.j.Input, i)
	if err != nil {
		return "", false, err
	}
	if len(p.Hops) > 0 && p.Hops[0].Root >= 0 {
		c := e.j.Input.Roots[p.Hops[0].Root].Class
		right = c == scanner.ClassPages || c == scanner.ClassRegister
	}
	for _, h := range p.Hops {
		if h.Object >= 0 {
			_, cache := e.j.Object(h.Object)
			right = right || kernel.Bookkeeping(cache)
		}
		right = right || h.Addr != 0 && !e.j.Looked(h.Addr)
	}
	why = e.path(e.j.Input, p)
	if right {
		why = "held from where kmemleak does not look: " + why
	}
	return why, right, nil
}

// whyNotTheirs says why kmemleak does not report object i.
func (e *explainer) whyNotTheirs(i int) (string, error) {
	addr := e.j.Input.Objects[i].Addr
	k, ok := e.known[addr]
	if o := &e.j.Input.Objects[i]; !ok && len(o.Copies) > 0 {
		k, ok = e.known[o.Copies[0].Start]
	}
	switch {
	case !ok:
		return "kmemleak does not know it", nil
	case k.MinCount < 0:
		return "kmemleak was told to ignore it", nil
	case k.MinCount == 0 && len(e.j.Input.Objects[i].Copies) > 0:
		return "per-CPU memory is never a leak for this kernel's kmemleak", nil
	case k.MinCount == 0:
		return "kmemleak was told that it is no leak", nil
	case k.TooYoung:
		return "it was younger than kmemleak's 5 s at its scan", nil
	case k.Count < k.MinCount && k.Reported:
		return "kmemleak reports it too, but who reads its file in pieces is not shown all when the list changes meanwhile", nil
	case k.Count < k.MinCount:
		return "kmemleak found no reference either, but has not reported it yet", nil
	}
	found := fmt.Sprintf("kmemleak counts %d references and needs %d", k.Count, k.MinCount)
	if words := e.names(i); len(words) > 0 {
		return found + ", with words that only name it: " + strings.Join(words, ", "), nil
	}
	if e.whole == nil || orphan(e.whole.Result.States[i]) {
		return found + ", of which none was there any more at our pause, or its content had changed since the scan before", nil
	}
	p, err := scanner.Explain(e.ctx, e.whole.Input, i)
	if err != nil {
		return "", err
	}
	return found + ": " + e.path(e.whole.Input, p), nil
}

// names lists the words with an address in object i that are known to be no
// references: those that are none anywhere, and those outside the parts of
// objects that are scanned.
func (e *explainer) names(i int) []string {
	in := e.j.Input
	o := &in.Objects[i]
	var out []string
	look := func(start, end guestmem.GVA, holds func(guestmem.GVA) bool) {
		word := make([]byte, in.WordSize)
		for at := start; at+guestmem.GVA(len(word)) <= end; at += guestmem.GVA(len(word)) {
			if guestmem.Read(in.Memory, at, word) != nil {
				return
			}
			if v := e.o.img.Arch().Word(word); v-uint64(o.Addr) < o.Size && !holds(at) {
				out = append(out, e.place(at))
			}
		}
	}
	for _, r := range in.Exclude {
		look(r.Start, r.End, func(guestmem.GVA) bool { return false })
	}
	for k := range in.Objects {
		if from := &in.Objects[k]; from.Parts != nil && k != i && from.Flag&scanner.NotMapped == 0 {
			look(from.Addr, from.Addr+guestmem.GVA(from.Size), func(at guestmem.GVA) bool {
				return slices.ContainsFunc(from.Parts, func(p guestmem.Range[guestmem.GVA]) bool { return p.Contains(at) })
			})
		}
	}
	return out
}

// place names where a word is.
func (e *explainer) place(at guestmem.GVA) string {
	in := e.j.Input
	if name, ok := e.o.data.name(uint64(at) - e.j.Kernel.Slide()); ok {
		return name
	}
	for i := range in.Objects {
		if o := &in.Objects[i]; uint64(at-o.Addr) < o.Size {
			return fmt.Sprintf("%s+%#x", e.object(i), uint64(at-o.Addr))
		}
	}
	return fmt.Sprintf("%#x", uint64(at))
}

// path names a shortest way.
func (e *explainer) path(in *scanner.Input, p *scanner.Path) string {
	if p.State != scanner.Reachable {
		return "none of them was there any more at our pause"
	}
	if len(p.Hops) == 0 {
		return "it is a root itself"
	}
	var b strings.Builder
	for k, h := range p.Hops {
		if k > 0 {
			b.WriteString(" -> ")
		}
		b.WriteString(e.from(in, &h))
	}
	last := p.Hops[len(p.Hops)-1]
	fmt.Fprintf(&b, " -> +%#x", last.ToOffset)
	return b.String()
}

// from names where a reference is.
func (e *explainer) from(in *scanner.Input, h *scanner.Hop) string {
	if h.Root < 0 {
		return fmt.Sprintf("%s+%#x", e.object(h.Object), h.Offset)
	}
	r := &in.Roots[h.Root]
	switch {
	case h.Word >= 0 && h.Word < len(r.WordNames):
		return r.Name + " " + r.WordNames[h.Word]
	case h.Edge:
		return r.Name
	}
	if name, ok := e.o.data.name(uint64(h.Addr) - e.j.Kernel.Slide()); ok && r.Class == scanner.ClassData {
		return name
	}
	return fmt.Sprintf("%s+%#x (%#x)", r.Name, h.Offset, uint64(h.Addr))
}

// object names object i.
func (e *explainer) object(i int) string {
	kind, cache := e.j.Object(i)
	if cache == "" {
		cache = string(kind)
	}
	o := &e.j.Input.Objects[i]
	return fmt.Sprintf("%s of %d bytes at %#x", cache, o.Size, uint64(o.Addr))
}
