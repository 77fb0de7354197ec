package scanner

import (
	"sync/atomic"
	"testing"
	"time"
)

// No step begins before the one before it has ended, and each does all of its work,
// whoever comes too late for it.
func TestTeam(t *testing.T) {
	const members, steps, each = 4, 2000, 40
	team := newTeam(members - 1)
	defer team.dismiss()
	took := make([]int, members)
	for step := range steps {
		var next, done atomic.Int64
		team.do(func(member int) {
			for next.Add(1) <= each {
				took[member]++
				done.Add(1)
			}
		})
		if n := done.Load(); n != each {
			t.Fatalf("step %d: %d of %d", step, n, each)
		}
		if step%500 == 0 {
			time.Sleep(time.Millisecond) // they sleep by then
		}
	}
	sum := 0
	for _, n := range took {
		sum += n
	}
	if sum != steps*each {
		t.Errorf("%v is not %d in all", took, steps*each)
	}
}
