package scanner

import (
	"sync"

	"github.com/leakvisor/leakvisor/guestmem"
)

// job is a range to scan: a part of a root or of a large object.
type job struct {
	stretch
	mem     guestmem.Memory
	exclude bool // Input.Exclude applies
}

// queue holds the work that is left. A region, a run of neighbouring spans, is
// in it at most once.
type queue struct {
	mu   sync.Mutex
	wake sync.Cond
	jobs []job
	// shares are the regions to be swept, of each worker: where one begins and
	// another ends, what is found is likely to be marked in time.
	shares  []share
	zoneEnd func(k, end uint32) uint32 // see marker.zoneEnd
	ring    []uint32                   // regions with some to be scanned, the oldest first: by then most is marked that will be
	head, n int
	idle    int
	stop    bool
	err     error
}

// share is the regions [next, end).
type share struct{ next, end uint32 }

// newQueue makes a queue for m's workers and regions, of which none is to be
// swept.
func newQueue(m *marker) *queue {
	q := &queue{ring: make([]uint32, max(len(m.queued), 1)), shares: make([]share, m.workers), zoneEnd: m.zoneEnd}
	q.wake.L = &q.mu
	return q
}

// sweep has all regions swept.
func (q *queue) sweep() {
	n := len(q.shares)
	for i := range q.shares {
		q.shares[i] = share{uint32(i * len(q.ring) / n), uint32((i + 1) * len(q.ring) / n)}
	}
}

// put adds work and wakes whom it is enough for. Where there is no other
// work it appends the first region to dst, for a caller that has nothing to do
// either: a long list must not make workers wake each other at every link.
func (q *queue) put(dst, regions []uint32, jobs []job) []uint32 {
	if len(regions)+len(jobs) == 0 {
		return dst
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(dst) == 0 && q.n == 0 && len(regions) > 0 && len(q.jobs)+len(jobs) == 0 {
		dst, regions = append(dst, regions[0]), regions[1:]
	}
	for _, r := range regions {
		i := q.head + q.n
		if i >= len(q.ring) {
			i -= len(q.ring)
		}
		q.ring[i] = r
		q.n++
	}
	q.jobs = append(q.jobs, jobs...)
	for range min(q.idle, len(regions)+len(jobs)) {
		q.wake.Signal()
	}
	return dst
}

// task is a job or, if that is nil, regions to be swept, of one zone, if any.
type task struct {
	job   *job
	sweep share
}

// take returns a task, or appends regions for a worker to dst; or neither, if
// there is nothing to be done now.
func (q *queue) take(worker int, dst []uint32) (task, []uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.jobs); n > 0 {
		j := q.jobs[n-1]
		q.jobs = q.jobs[:n-1]
		return task{job: &j}, dst
	}
	if s := q.share(worker); s != nil {
		t := task{sweep: share{s.next, s.next + min(max((s.end-s.next)/4, 1), maxSweep)}}
		t.sweep.end = q.zoneEnd(t.sweep.next, t.sweep.end)
		s.next = t.sweep.end
		return t, dst
	}
	for range min(max(q.n/(4*len(q.shares)), 1), 8, q.n) {
		dst = append(dst, q.ring[q.head])
		if q.head++; q.head == len(q.ring) {
			q.head = 0
		}
		q.n--
	}
	return task{}, dst
}

// share returns a worker's share of what is to be swept, half of another's where
// that is used up, or nil.
func (q *queue) share(worker int) *share {
	own := &q.shares[worker]
	if own.next < own.end {
		return own
	}
	most := own
	for i := range q.shares {
		if s := &q.shares[i]; s.end-s.next > most.end-most.next {
			most = s
		}
	}
	if most == own {
		return nil
	}
	end := most.end
	most.end -= (end - most.next + 1) / 2
	*own = share{most.end, end}
	return own
}

// wait waits for work, and says whether there is some. There will be none when
// all wait, or the scan has failed.
func (q *queue) wait() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) > 0 || q.n > 0 {
		return !q.stop
	}
	if q.idle++; q.idle == len(q.shares) {
		q.stop = true
		q.wake.Broadcast()
	}
	for !q.stop && len(q.jobs) == 0 && q.n == 0 {
		q.wake.Wait()
	}
	q.idle--
	return !q.stop
}

// fail ends the work of all.
func (q *queue) fail(err error) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
	}
	q.stop = true
	q.wake.Broadcast()
	q.mu.Unlock()
}

// run lets each worker work until nothing is left.
func (q *queue) run(workers []*worker) error {
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { w.work(q) })
	}
	wg.Wait()
	return q.err
}
