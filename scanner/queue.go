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

// queue holds the work that is left. A region, a run of neighbouring spans
// with some to be scanned, is in it at most once.
type queue struct {
	mu      sync.Mutex
	wake    sync.Cond
	jobs    []job
	ring    []uint32 // regions, the oldest first: by then most is marked that will be
	head, n int
	workers int
	idle    int
	stop    bool
	err     error
}

func newQueue(workers, regions int) *queue {
	q := &queue{ring: make([]uint32, max(regions, 1)), workers: workers}
	q.wake.L = &q.mu
	return q
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

// take returns a job, or appends regions to dst. Both are empty when all work
// is done, by everyone, or the scan has failed.
func (q *queue) take(dst []uint32) (*job, []uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.stop {
		if n := len(q.jobs); n > 0 {
			j := q.jobs[n-1]
			q.jobs = q.jobs[:n-1]
			return &j, dst
		}
		if q.n > 0 {
			for range min(max(q.n/(4*q.workers), 1), 8) {
				dst = append(dst, q.ring[q.head])
				if q.head++; q.head == len(q.ring) {
					q.head = 0
				}
				q.n--
			}
			return nil, dst
		}
		if q.idle++; q.idle == q.workers {
			q.stop = true
			q.wake.Broadcast()
			break
		}
		q.wake.Wait()
		q.idle--
	}
	return nil, dst
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
