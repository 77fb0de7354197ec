package scanner

import "sync/atomic"

const (
	maxSweep = 16 // regions that are swept together
	// A pass over all regions is worth its time for one in so many spans.
	worthPass = 64
	// It is looked what has come to light when there is a reference from what was not
	// reached for so many spans.
	maxHeld = 16
	// maxLate is how much is found, when it is not marked at once, before it is.
	maxLate = 1 << 16
	// minAlone is how many parts of jobs are left to one worker in the end, and how many
	// regions, where that is not less than half of all; twice as many each time that
	// there are more, so that what comes to light in small parts does not take a pass
	// for each.
	minAlone = 16
)

// each has f called for the numbers in [from, n), in step with the others: ws take
// the numbers as they come to them, until some call returns false. It returns the
// first that was not taken, and errs when the context of ws ends.
func (m *marker) each(ws []*worker, from, n int, f func(w *worker, i int) bool) (int, error) {
	if from >= n {
		return n, ws[0].ctx.Err()
	}
	var next atomic.Int64
	next.Store(int64(from))
	var stop atomic.Bool
	m.team.do(func(member int) {
		w := ws[member]
		for !stop.Load() && w.ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			if !f(w, i) {
				stop.Store(true)
			}
		}
	})
	return min(int(next.Load()), n), ws[0].ctx.Err()
}

// blockStates is how many times 64 spans are a block: whole regions.
const blockStates = 64 * regionWords

// blocks returns how many blocks there are.
func (m *marker) blocks() int { return (len(m.states) + blockStates - 1) / blockStates }

// eachBlock has f called for the states [lo, hi) of each block i, in step.
func (m *marker) eachBlock(ws []*worker, f func(w *worker, i, lo, hi int)) error {
	_, err := m.each(ws, 0, m.blocks(), func(w *worker, i int) bool {
		f(w, i, i*blockStates, min((i+1)*blockStates, len(m.states)))
		return true
	})
	return err
}

// setMarks gives each worker its marks.
func (m *marker) setMarks(ws []*worker) {
	m.marks = make([]marks, len(ws))
	for i, w := range ws {
		n := len(m.x.granules)
		m.marks[i] = marks{makeLarge[uint64](n, n), make([]uint64, len(m.special))}
		w.marks = &m.marks[i]
	}
}

// run marks everything that can be reached.
func (m *marker) run(ws []*worker) error {
	m.setMarks(ws)
	for i := range m.specials {
		if m.in.Objects[m.x.owners[i]].Flag&(Gray|Ignore) == Gray {
			ws[0].refer(direct | target(i))
		}
	}
	list, words := m.rootJobs(m.in.Roots)
	var roots jobs
	roots.add(list...)
	for _, word := range append(words, m.loose...) {
		ws[0].referWord(word)
	}
	left, err := m.sweep(ws, &roots)
	if err != nil {
		return err
	}
	for alone := minAlone; ; alone *= 2 {
		if err := m.passes(ws, left); err != nil {
			return err
		}
		if done, err := m.chase(ws, alone); done || err != nil {
			return err
		}
		left = len(m.x.owners)
	}
}

// sweep scans roots and sweeps all regions, once. It returns how many references are
// left to be followed. Where there would be many, it looks in between what has come
// to light in the regions before.
func (m *marker) sweep(ws []*worker, roots *jobs) (left int, err error) {
	fill(m.queued, true)
	end := uint32(len(m.queued))
	first := roots.parts()
	n := first + (len(m.queued)+maxSweep-1)/maxSweep
	var held atomic.Int64
	least := int64(len(m.x.owners) / maxHeld)
	most := least
	for next := 0; ; {
		next, err = m.each(ws, next, n, func(w *worker, i int) bool {
			if i < first {
				w.scanJob(roots.part(i))
				return true
			}
			k := uint32(i-first) * maxSweep
			w.sweepRegions(k, min(k+maxSweep, end))
			sum := held.Add(int64(w.sweep.held))
			w.sweep.held = 0
			return sum <= most
		})
		if err != nil || next == n {
			return int(held.Load()), err
		}
		most *= 2
		swept := (next - first) * maxSweep
		worth := swept << regionBits / maxHeld
		for reached := worth; reached >= worth; {
			if reached, err = m.pass(ws, swept); err != nil {
				return 0, err
			}
			if reached >= worth {
				most = least
			}
		}
		held.Store(0)
	}
}

// passes looks in all regions what is reached by now, and scans what is to be
// scanned, as long as that is worth it, with so many references left to follow.
func (m *marker) passes(ws []*worker, left int) error {
	for left > len(m.x.owners)/worthPass {
		var err error
		if left, err = m.pass(ws, len(m.queued)); err != nil {
			return err
		}
		if err := m.scanOut(ws); err != nil {
			return err
		}
	}
	return nil
}

// pass resolves the first regions, so many of them, and returns how many spans
// were reached.
func (m *marker) pass(ws []*worker, regions int) (reached int, err error) {
	for _, w := range ws {
		w.reached = 0
	}
	_, err = m.each(ws, 0, (regions+maxSweep-1)/maxSweep, func(w *worker, i int) bool {
		for k := i * maxSweep; k < min((i+1)*maxSweep, regions); k++ {
			w.resolve(uint32(k))
		}
		return true
	})
	for _, w := range ws {
		reached += w.reached
	}
	return reached, err
}

// takeOut takes from ws what they have found is to be scanned.
func takeOut(ws []*worker) (regions []uint32, large jobs) {
	for _, w := range ws {
		regions = append(regions, w.out...)
		large.add(w.jobs.list...)
		w.out = w.out[:0]
		w.jobs.clear()
	}
	return regions, large
}

// scanOut scans what the workers have found is to be scanned, and what that brings.
func (m *marker) scanOut(ws []*worker) error {
	for {
		regions, large := takeOut(ws)
		if len(regions)+large.parts() == 0 {
			return nil
		}
		_, err := m.each(ws, 0, large.parts(), func(w *worker, i int) bool {
			w.scanJob(large.part(i))
			return true
		})
		if err != nil {
			return err
		}
		_, err = m.each(ws, 0, len(regions), func(w *worker, i int) bool {
			w.scanPending(regions[i])
			return true
		})
		if err != nil {
			return err
		}
	}
}

// chase marks what has been found since, and at once what that brings to light: a
// list, whose members do not come to light together. It returns false when there
// is so much to be scanned, more than alone, that the others had better help.
func (m *marker) chase(ws []*worker, alone int) (done bool, err error) {
	m.exact = true
	defer func() { m.exact = false }()
	if _, err := m.pass(ws, len(m.queued)); err != nil {
		return false, err
	}
	if err := m.markRest(ws); err != nil {
		return false, err
	}
	w := ws[0]
	for _, other := range ws[1:] {
		w.late, other.late = append(w.late, other.late...), other.late[:0]
	}
	w.out, w.jobs = takeOut(ws)
	for {
		w.markLate()
		switch {
		case w.ctx.Err() != nil:
			return false, w.ctx.Err()
		case len(w.out)+w.jobs.parts() == 0:
			return true, nil
		case w.jobs.parts() > alone || len(w.out) > max(len(m.queued)/2, alone):
			return false, nil
		}
		regions, large := takeOut(ws[:1])
		for i := 0; i < large.parts() && w.ctx.Err() == nil; i++ {
			w.scanJob(large.part(i))
			w.markLate()
		}
		for i := 0; i < len(regions) && w.ctx.Err() == nil; i++ {
			w.scanPending(regions[i])
			w.markLate()
		}
	}
}

// markLate marks what has been found, and what that brings to light.
func (w *worker) markLate() {
	m := w.m
	for n := 1; len(w.late) > 0; n++ {
		if n%1024 == 0 && w.ctx.Err() != nil {
			return // the caller notices
		}
		i := w.late[len(w.late)-1].span(m.x)
		w.late = w.late[:len(w.late)-1]
		if m.states[i>>6].mark(i) {
			w.reachAll(i>>6, 1<<(i&63))
		}
	}
}
