package scanner

import "github.com/leakvisor/leakvisor/guestmem"

// maxAhead is how much is asked for at once where that serves.
const maxAhead = 1 << 21

// view keeps the last view of a memory: finding one costs a walk of the
// guest's page tables, and neighbouring objects share it. It asks for more
// than is needed only as long as that is used.
type view struct {
	start uint64
	b     []byte
	uses  int
	ahead uint64
}

// get returns the bytes at a, at most n of them.
func (v *view) get(mem guestmem.Memory, a, n uint64) ([]byte, error) {
	if off := a - v.start; off < uint64(len(v.b)) {
		v.uses++
		b := v.b[off:]
		return b[:min(n, uint64(len(b)))], nil
	}
	if v.uses > 1 {
		v.ahead = min(max(v.ahead*2, pageBytes), maxAhead)
	} else {
		v.ahead /= 2
	}
	want := max(min(n, maxRun), v.ahead)
	if toEnd := -a; toEnd != 0 {
		want = min(want, toEnd)
	}
	b, err := mem.View(guestmem.GVA(a), int(want))
	if err != nil {
		return nil, err
	}
	v.start, v.b, v.uses = a, b[:min(want, uint64(len(b)))], 1
	return v.b[:min(n, uint64(len(v.b)))], nil
}
