package scanner

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// team has goroutines work in step. Between two steps they wait awake for a while,
// and one that comes too late for a step is not waited for: steps can be shorter
// than it takes to wake a thread.
type team struct {
	step atomic.Uint32 // counts steps
	// in is how many members are at work for the one who called do, which is none of
	// them; less closed when no more shall begin.
	in   atomic.Int32
	work func(member int) // nil when all shall end
	mu   sync.Mutex       // held when what is waited for becomes true
	cond sync.Cond
	// naps is how often one that waits lets others run before it sleeps: none where
	// there are fewer CPUs than members.
	naps int
}

const closed = 1 << 30

// newTeam makes one of so many members besides the caller, which has to dismiss it.
func newTeam(members int) *team {
	t := &team{}
	t.cond.L = &t.mu
	t.in.Store(-closed)
	if runtime.GOMAXPROCS(0) > members {
		t.naps = 200
	}
	for i := range members {
		go t.member(i + 1)
	}
	return t
}

// dismiss has the members end.
func (t *team) dismiss() {
	t.work = nil
	t.next()
}

// next begins a step.
func (t *team) next() {
	t.in.Store(0)
	t.mu.Lock()
	t.step.Add(1)
	t.mu.Unlock()
	t.cond.Broadcast()
}

func (t *team) member(i int) {
	step := uint32(0)
	for {
		t.wait(func() bool { return t.step.Load() != step })
		step = t.step.Load()
		in := t.in.Load()
		for in >= 0 && !t.in.CompareAndSwap(in, in+1) {
			in = t.in.Load()
		}
		if in < 0 {
			continue
		}
		work := t.work
		if work != nil {
			work(i)
		}
		t.mu.Lock()
		last := t.in.Add(-1) == -closed
		t.mu.Unlock()
		if last {
			t.cond.Broadcast()
		}
		if work == nil {
			return
		}
	}
}

// do calls work and has members call it, as many as are awake before that returns.
// It returns when all have.
func (t *team) do(work func(member int)) {
	t.work = work
	t.next()
	work(0)
	if t.in.Add(-closed) != -closed {
		t.wait(func() bool { return t.in.Load() == -closed })
	}
}

// wait waits for ok: awake for some 50 microseconds, then asleep.
func (t *team) wait(ok func() bool) {
	for range t.naps {
		for range 64 {
			if ok() {
				return
			}
		}
		runtime.Gosched()
	}
	t.mu.Lock()
	for !ok() {
		t.cond.Wait()
	}
	t.mu.Unlock()
}
