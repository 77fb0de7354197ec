package scanner

import (
	"context"
	"errors"
	"math/bits"
	"runtime"
	"slices"
)

// MaxUnreadable is how many unreadable ranges a Result lists.
const MaxUnreadable = 64

// Options tune a scan; nil is legal.
type Options struct {
	// Workers is the number of goroutines that scan; zero for one for each
	// CPU Go may use; fewer where what they mark would take more memory than the
	// objects are worth. The result does not depend on it.
	Workers int
}

// ErrInput is wrapped by errors about an Input that cannot be scanned.
var ErrInput = errors.New("bad scan input")

// Scan judges in.Objects. It errs with ErrInput for a word size other than 4
// or 8, a missing Order, Memory or Layout and too many objects (2^31 or more),
// and with ctx's error when ctx ends; what the guest holds never makes it err.
//
// An object of which no byte is its own, since later ones overlap it, is
// Ignored unless it is Gray. Of one object or root at most 1 TiB is read, and
// a range is given up as unreadable after 64 MiB without a readable page.
func Scan(ctx context.Context, in *Input, o *Options) (*Result, error) {
	m, err := newMarker(in, o)
	if err != nil {
		return nil, err
	}
	m.team = newTeam(m.workers - 1)
	defer m.team.dismiss()
	ws := m.newWorkers(ctx)
	if err := m.run(ws); err != nil {
		return nil, err
	}
	r, white, err := m.result(ws)
	if err != nil {
		return nil, err
	}
	if err := m.findLeaks(ctx, white, r); err != nil {
		return nil, err
	}
	return r, nil
}

func (m *marker) newWorkers(ctx context.Context) []*worker {
	ws := make([]*worker, m.workers)
	for i := range ws {
		ws[i] = newWorker(ctx, m)
	}
	return ws
}

// workers returns how many goroutines there shall be.
func (o *Options) workers() int {
	if o == nil || o.Workers <= 0 {
		return runtime.GOMAXPROCS(0)
	}
	return o.Workers
}

// specials calls yield with each special span.
func (m *marker) specials(yield func(i uint32) bool) {
	for k, set := range m.special {
		for ; set != 0; set &= set - 1 {
			if !yield(uint32(k<<6 + bits.TrailingZeros64(set))) {
				return
			}
		}
	}
}

// result turns marks into verdicts. It returns the first span of each white
// object too.
func (m *marker) result(workers []*worker) (r *Result, whites []uint32, err error) {
	r = &Result{States: make([]State, len(m.in.Objects)), Bytes: m.x.plainBytes}
	var bad, badPlain []gvaRange
	for _, w := range workers {
		r.Bytes += w.bytes
		bad, badPlain = append(bad, w.bad...), append(badPlain, w.badPlain...)
	}
	_, unread := sum(badPlain)
	r.Bytes -= unread
	r.Unreadable, r.UnreadableBytes = sum(append(bad, badPlain...))
	white := Orphan
	if r.UnreadableBytes > 0 {
		white = Unknown
	}
	m.reachable(r.States)
	parts, unscanned := make([][]uint32, m.blocks()), make([]uint64, m.blocks())
	err = m.eachBlock(workers, func(_ *worker, i, lo, hi int) { parts[i], unscanned[i] = m.whites(lo, hi) })
	if err != nil {
		return nil, nil, err
	}
	for _, n := range unscanned {
		r.Bytes -= n
	}
	whites = slices.Concat(parts...)
	for _, i := range whites {
		r.States[m.x.owners[i]] = white
	}
	for i := range m.specials {
		obj := m.x.owners[i]
		if m.in.Objects[obj].Flag&Ignore != 0 {
			r.States[obj] = Ignored
		}
		if !has(m.x.special, i) {
			r.Bytes -= m.x.wordBytes(m.x.starts[i], m.x.starts[i+1])
		}
	}
	return r, whites, nil
}

// whites returns the first span of each white object in the states [lo, hi), and how
// many bytes the plain ones of them have that were not scanned.
func (m *marker) whites(lo, hi int) (first []uint32, unscanned uint64) {
	for k := lo; k < hi; k++ {
		for set := ^m.states[k].reached; set != 0; set &= set - 1 {
			i := uint32(k<<6 + bits.TrailingZeros64(set))
			switch {
			case int(i) >= len(m.x.owners):
			case !has(m.special, i):
				unscanned += m.x.wordBytes(m.x.starts[i], m.x.starts[i+1])
				fallthrough
			case m.x.primary(i) == i && m.in.Objects[m.x.owners[i]].Flag&Ignore == 0:
				first = append(first, i)
			}
		}
	}
	return first, unscanned
}

// reachable calls every object reachable that has a span, or is gray.
func (m *marker) reachable(states []State) {
	if !m.x.several { // then each has one
		shares(m.workers, len(states), func(_, lo, hi int) { fill(states[lo:hi], Reachable) })
		return
	}
	for i := range states {
		states[i] = Ignored
		if m.in.Objects[i].Flag&(Gray|Ignore) == Gray {
			states[i] = Reachable
		}
	}
	for _, obj := range m.x.owners {
		if obj != none {
			states[obj] = Reachable
		}
	}
}

// fill sets all of list to v.
func fill[T any](list []T, v T) {
	if len(list) == 0 {
		return
	}
	list[0] = v
	for n := 1; n < len(list); n *= 2 {
		copy(list[n:], list[:n])
	}
}

// sum merges ranges and adds them up; it returns at most MaxUnreadable.
func sum(ranges []gvaRange) ([]gvaRange, uint64) {
	ranges = normal(ranges)
	n := uint64(0)
	for _, r := range ranges {
		n += r.Size()
	}
	if len(ranges) > MaxUnreadable {
		ranges = append([]gvaRange(nil), ranges[:MaxUnreadable]...)
	}
	return ranges, n
}
