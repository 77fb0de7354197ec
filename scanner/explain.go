package scanner

import (
	"context"
	"fmt"
	"math"

	"github.com/leakvisor/leakvisor/guestmem"
)

// MaxReferrers is how many referrers a Path lists.
const MaxReferrers = 64

// Path explains the verdict on one object.
type Path struct {
	State State
	// Hops is a shortest way to a Reachable object. It begins in a root, or in
	// a Gray object; for a Gray object itself it is empty.
	Hops []Hop
	// OnlyInterior says that every way to the object takes a pointer that
	// points not to an object's first word but behind it, as those of embedded
	// list heads do; low bits are often used for flags. OnlyStack says that every way begins on a stack or in a
	// register.
	OnlyInterior, OnlyStack bool
	// Referrers are the references to an Orphan or Unknown object from others
	// that are not reachable, at most MaxReferrers; ReferrerCount counts all.
	Referrers     []Hop
	ReferrerCount int
}

// Hop is one reference.
type Hop struct {
	// Root is an index in Input.Roots, or -1; then Object is where the
	// reference is, an index in Input.Objects.
	Root, Object int
	// Copy is an index in the object's Copies where the reference lies in one
	// of them, otherwise -1.
	Copy int
	// Word is an index in Root.Words, or -1.
	Word int
	// Edge says that the reference is one of Input.Edges; then there are no
	// Offset and no Addr.
	Edge bool
	// Offset is where in the root's Range, the object or its copy the word
	// is, in bytes; Addr is its address. Words have neither.
	Offset uint64
	Addr   guestmem.GVA
	// Value is the word, which points ToOffset bytes behind the start of the
	// object To or of its copy ToCopy.
	Value    uint64
	To       int
	ToCopy   int
	ToOffset uint64
}

// Explain finds why the verdict on in.Objects[object] is what Scan says. It
// reads memory up to four times, on one CPU, and takes 20 bytes of memory for
// each object besides the index. It errs as Scan does.
func Explain(ctx context.Context, in *Input, object int) (*Path, error) {
	m, err := newMarker(in, &Options{Workers: 1})
	if err != nil {
		return nil, err
	}
	if object < 0 || object >= len(in.Objects) {
		return nil, fmt.Errorf("%w: there is no object %d", ErrInput, object)
	}
	e := &explorer{m: m, target: uint32(object)}
	e.index()
	if in.Objects[object].Flag&Ignore != 0 {
		return &Path{State: Ignored}, nil
	}
	found, err := e.explore(ctx, anyWay)
	if err != nil {
		return nil, err
	}
	if found {
		return e.reachable(ctx)
	}
	if e.first[object] == none {
		return &Path{State: Ignored}, nil
	}
	p := &Path{State: Orphan}
	if len(e.w.bad)+len(e.w.badPlain) > 0 {
		p.State = Unknown
	}
	return p, e.referrers(ctx, p)
}

// rootBit marks the index of a root where an object's is expected.
const rootBit = 1 << 31

// atEdge stands for the address of a word where there is none.
const atEdge = math.MaxUint64

// way says which references an explorer follows.
type way int

const (
	anyWay  way = iota
	noStack     // roots that are neither stack nor register
	noInterior
)

// explorer walks from the roots breadth first and records where it came from.
type explorer struct {
	m      *marker
	w      *worker
	target uint32
	first  []uint32 // span of each object, or none
	from   []uint32 // object, root or (Gray) itself, for each object; none
	at     []uint64 // address of the word, index in Words, or atEdge
	queue  []uint32
}

// explore says whether the target can be reached the given way.
func (e *explorer) explore(ctx context.Context, by way) (bool, error) {
	in := e.m.in
	e.from = make([]uint32, len(in.Objects))
	e.at = make([]uint64, len(in.Objects))
	for i := range e.from {
		e.from[i] = none
	}
	e.queue = e.queue[:0]
	e.w = newWorker(ctx, e.m)
	e.w.visit = func(to, from uint32, word, at uint64) {
		obj := e.m.x.owners[to]
		if e.from[obj] != none {
			return
		}
		if by == noInterior {
			if _, off := place(&in.Objects[obj], word); off >= e.m.f.size {
				return
			}
		}
		e.reach(obj, e.source(from), at)
	}
	for i := range in.Objects {
		if in.Objects[i].Flag&(Gray|Ignore) == Gray {
			e.reach(uint32(i), uint32(i), 0)
		}
	}
	for i := range in.Roots {
		r := &in.Roots[i]
		if by == noStack && (r.Class == ClassStack || r.Class == ClassRegister) {
			continue
		}
		e.root(r, rootBit|uint32(i))
	}
	for i := 0; i < len(e.queue) && e.from[e.target] == none; i++ {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		e.object(e.queue[i])
	}
	return e.from[e.target] != none, ctx.Err()
}

// source returns the object of a span, or the root that stands in for it.
func (e *explorer) source(from uint32) uint32 {
	if from&rootBit != 0 {
		return from
	}
	return e.m.x.owners[from]
}

func (e *explorer) reach(o, from uint32, at uint64) {
	e.from[o], e.at[o] = from, at
	e.queue = append(e.queue, o)
}

// root visits what root r refers to.
func (e *explorer) root(r *Root, from uint32) {
	if r.Words == nil {
		for _, edge := range e.m.in.Edges {
			if _, inObject := e.m.x.find(uint64(edge.From)); !inObject && r.Range.Contains(edge.From) {
				e.word(uint64(edge.To), from, atEdge)
			}
		}
	}
	list, _ := e.m.rootJobs([]Root{*r})
	for _, j := range list {
		j.from = from
		e.w.scanJob(j)
	}
	for i, word := range r.Words {
		if e.m.f.size == 4 {
			word = uint64(uint32(word))
		}
		e.word(word, from, uint64(i))
	}
}

func (e *explorer) word(word uint64, from uint32, at uint64) {
	if e.m.x.bands.in(word) != 0 {
		e.w.tell(word, from, at)
	}
}

// object visits what object o refers to.
func (e *explorer) object(o uint32) {
	if first := e.first[o]; first != none {
		for _, to := range e.m.edges[o] {
			e.w.tell(to, first, atEdge)
		}
		for _, i := range e.m.x.spansOf(first) {
			e.w.scanSpan(i)
		}
	}
	e.w.scanRun(e.m.in.Memory, true)
}

// index notes the first span of each object.
func (e *explorer) index() {
	e.first = make([]uint32, len(e.m.in.Objects))
	for i := range e.first {
		e.first[i] = none
	}
	for i, obj := range e.m.x.owners {
		if obj != none && e.first[obj] == none {
			e.first[obj] = uint32(i)
		}
	}
}

// reachable makes the path of a target that was found.
func (e *explorer) reachable(ctx context.Context) (*Path, error) {
	p := &Path{State: Reachable}
	interior, stack := false, false
	for o := e.target; e.from[o] != o; {
		h := e.hop(e.from[o], o, e.at[o])
		p.Hops = append(p.Hops, h)
		interior = interior || h.ToOffset >= e.m.f.size
		if h.Root >= 0 {
			c := e.m.in.Roots[h.Root].Class
			stack = c == ClassStack || c == ClassRegister
			break
		}
		o = e.from[o]
	}
	for i, j := 0, len(p.Hops)-1; i < j; i, j = i+1, j-1 {
		p.Hops[i], p.Hops[j] = p.Hops[j], p.Hops[i]
	}
	if interior {
		found, err := e.explore(ctx, noInterior)
		if err != nil {
			return nil, err
		}
		p.OnlyInterior = !found
	}
	if stack {
		found, err := e.explore(ctx, noStack)
		if err != nil {
			return nil, err
		}
		p.OnlyStack = !found
	}
	return p, nil
}

// hop describes the reference from an object or root to object o.
func (e *explorer) hop(from, o uint32, at uint64) Hop {
	in := e.m.in
	h := Hop{Root: -1, Object: -1, Copy: -1, Word: -1, To: int(o)}
	var root *Root
	if from&rootBit != 0 {
		h.Root = int(from &^ rootBit)
		root = &in.Roots[h.Root]
	} else {
		h.Object = int(from)
	}
	switch {
	case at == atEdge:
		h.Edge = true
		h.Value = e.edge(from, root, o)
	case root != nil && root.Words != nil:
		h.Word = int(at)
		h.Value = root.Words[at]
		if e.m.f.size == 4 {
			h.Value = uint64(uint32(h.Value))
		}
	default:
		h.Addr = guestmem.GVA(at)
		mem := in.Memory
		if root != nil {
			h.Offset = at - uint64(root.Range.Start)
			if root.Memory != nil {
				mem = root.Memory
			}
		} else {
			h.Copy, h.Offset = place(&in.Objects[from], at)
		}
		var b [8]byte
		if guestmem.Read(mem, h.Addr, b[:e.m.f.size]) == nil { // as it did before
			h.Value = e.m.f.word(b[:])
		}
	}
	h.ToCopy, h.ToOffset = place(&in.Objects[o], h.Value)
	return h
}

// edge returns the target of the edge that leads to object o.
func (e *explorer) edge(from uint32, root *Root, o uint32) uint64 {
	for _, edge := range e.m.in.Edges {
		i, inObject := e.m.x.find(uint64(edge.From))
		if root != nil && (inObject || !root.Range.Contains(edge.From)) || root == nil && (!inObject || e.m.x.owners[i] != from) {
			continue
		}
		if i, ok := e.m.x.find(uint64(edge.To)); ok && e.m.x.owners[i] == o {
			return uint64(edge.To)
		}
	}
	return 0
}

// referrers lists who points to the target among what is not reached.
func (e *explorer) referrers(ctx context.Context, p *Path) error {
	e.w = newWorker(ctx, e.m)
	e.w.visit = func(to, from uint32, _, at uint64) {
		if e.m.x.owners[to] != e.target {
			return
		}
		if p.ReferrerCount++; len(p.Referrers) < MaxReferrers {
			p.Referrers = append(p.Referrers, e.hop(e.source(from), e.target, at))
		}
	}
	for i, obj := range e.m.x.owners {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if obj == none || e.from[obj] != none || e.m.in.Objects[obj].Flag&Ignore != 0 {
			continue
		}
		if e.m.x.primary(uint32(i)) == uint32(i) {
			for _, to := range e.m.edges[obj] {
				e.w.tell(to, uint32(i), atEdge)
			}
		}
		e.w.scanSpan(uint32(i))
	}
	e.w.scanRun(e.m.in.Memory, true)
	return ctx.Err()
}

// place says in which copy of o, or -1, and at which offset a lies.
func place(o *Object, a uint64) (copy int, offset uint64) {
	if off := a - uint64(o.Addr); off < max(o.Size, 1) {
		return -1, off
	}
	for i, c := range o.Copies {
		if c.Contains(guestmem.GVA(a)) {
			return i, a - uint64(c.Start)
		}
	}
	return -1, a - uint64(o.Addr)
}
