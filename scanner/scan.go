package scanner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
)

// MaxUnreadable is how many unreadable ranges a Result lists.
const MaxUnreadable = 64

// Options tune a scan; nil is legal.
type Options struct {
	// Workers is the number of goroutines that scan; zero for one for each
	// CPU Go may use. The result does not depend on it.
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
	if err := in.check(); err != nil {
		return nil, err
	}
	workers := runtime.GOMAXPROCS(0)
	if o != nil && o.Workers > 0 {
		workers = o.Workers
	}
	m := newMarker(in, workers)
	ws := make([]*worker, workers)
	for i := range ws {
		ws[i] = newWorker(ctx, m)
	}
	if err := m.run(ws); err != nil {
		return nil, err
	}
	r := m.result(ws)
	if err := m.findLeaks(ctx, workers, r); err != nil {
		return nil, err
	}
	return r, nil
}

func (in *Input) check() error {
	switch {
	case in.WordSize != 4 && in.WordSize != 8:
		return fmt.Errorf("%w: words of %d bytes", ErrInput, in.WordSize)
	case in.Order == nil:
		return fmt.Errorf("%w: no byte order", ErrInput)
	case in.Memory == nil:
		return fmt.Errorf("%w: no memory", ErrInput)
	}
	n := uint64(0)
	for i := range in.Objects {
		o := &in.Objects[i]
		n += 1 + uint64(len(o.Copies))
		if o.Layout < 0 || int(o.Layout) > len(in.Layouts) {
			return fmt.Errorf("%w: object %d has layout %d of %d", ErrInput, i, o.Layout, len(in.Layouts))
		}
	}
	if n >= math.MaxInt32/2 {
		return fmt.Errorf("%w: %d objects and copies are too many", ErrInput, n)
	}
	return nil
}

// run marks everything that can be reached.
func (m *marker) run(workers []*worker) error {
	q := newQueue(len(workers), len(m.queued))
	w := workers[0]
	for i, obj := range m.x.objects {
		s := &m.x.spans[i]
		if s.size&special != 0 && m.in.Objects[obj].Flag&(Gray|Ignore) == Gray && m.x.primary(uint32(i)) == uint32(i) {
			s.count = rooted
			w.reach(uint32(i))
		}
	}
	jobs, words := m.rootJobs(m.in.Roots)
	for _, word := range append(words, m.loose...) {
		w.push(word, none)
	}
	w.resolve()
	w.todo = q.put(w.todo, w.out, jobs)
	w.out = w.out[:0]
	return q.run(workers)
}

// result turns counts into verdicts.
func (m *marker) result(workers []*worker) *Result {
	n := len(m.in.Objects)
	r := &Result{States: make([]State, n), Refs: make([]uint8, n)}
	var bad []gvaRange
	for _, w := range workers {
		r.Bytes += w.bytes
		bad = append(bad, w.bad...)
	}
	r.Unreadable, r.UnreadableBytes = sum(bad)
	white := Orphan
	if r.UnreadableBytes > 0 {
		white = Unknown
	}
	shares(len(workers), n, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			r.States[i] = Ignored
		}
	})
	if m.x.several { // or every object has a span
		for i := range m.in.Objects {
			if m.in.Objects[i].Flag&(Gray|Ignore) == Gray {
				r.States[i] = Reachable
			}
		}
	}
	shares(len(workers), len(m.x.objects), func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			s, obj := &m.x.spans[i], m.x.objects[i]
			switch {
			case s.size&special != 0 && m.x.primary(uint32(i)) != uint32(i):
				continue
			case s.size&special != 0 && m.in.Objects[obj].Flag&Ignore != 0:
			case s.count != 0:
				r.States[obj] = Reachable
			default:
				r.States[obj] = white
			}
			r.Refs[obj] = uint8(min(s.count&countMask, countMax))
		}
	})
	return r
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
