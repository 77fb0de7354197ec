package stackdepot

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Depot is a set of backtraces. The zero value is not ready: use New.
type Depot struct {
	seed    uint64 // the guest picks the addresses, so it must not know the hash
	records []record
	table   []uint32 // record numbers by hash, open addressing; zero: free
	chunk   []guestmem.GVA
}

type record struct {
	trace []guestmem.GVA // in one of the chunks
	hash  uint64
}

// chunkWords is how many addresses are allocated at once: 64 kB.
const chunkWords = 8 << 10

// New returns an empty depot. Its number 0 is the empty trace.
func New() *Depot {
	return &Depot{seed: rand.Uint64(), records: make([]record, 1), table: make([]uint32, 1<<10)}
}

// Intern returns the number of a trace, which it copies if it is new. Numbers
// count up from 1; the empty trace is 0. At 2^32 - 1 different traces, which
// no memory holds, it returns 0.
func (d *Depot) Intern(trace []guestmem.GVA) uint32 {
	if len(trace) == 0 {
		return 0
	}
	h := d.hash(trace)
	mask := uint64(len(d.table) - 1)
	slot := h & mask
	for d.table[slot] != 0 {
		if r := &d.records[d.table[slot]]; r.hash == h && slices.Equal(r.trace, trace) {
			return d.table[slot]
		}
		slot = (slot + 1) & mask
	}
	if uint64(len(d.records)) >= 1<<32-1 {
		return 0
	}
	id := uint32(len(d.records))
	d.records = append(d.records, record{d.keep(trace), h})
	d.table[slot] = id
	if 2*len(d.records) > len(d.table) {
		d.grow()
	}
	return id
}

// Get returns the trace of a number, nil for 0 and for what Intern has not
// returned. It must not be changed.
func (d *Depot) Get(id uint32) []guestmem.GVA {
	if uint64(id) >= uint64(len(d.records)) {
		return nil
	}
	return d.records[id].trace
}

// Len returns the number of different traces.
func (d *Depot) Len() int { return len(d.records) - 1 }

// keep copies a trace to where it stays.
func (d *Depot) keep(trace []guestmem.GVA) []guestmem.GVA {
	if cap(d.chunk)-len(d.chunk) < len(trace) {
		d.chunk = make([]guestmem.GVA, 0, max(chunkWords, len(trace)))
	}
	from := len(d.chunk)
	d.chunk = append(d.chunk, trace...)
	return d.chunk[from:len(d.chunk):len(d.chunk)]
}

func (d *Depot) grow() {
	d.table = make([]uint32, 2*len(d.table))
	mask := uint64(len(d.table) - 1)
	for id := 1; id < len(d.records); id++ {
		slot := d.records[id].hash & mask
		for d.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		d.table[slot] = uint32(id)
	}
}

// hash folds the 128-bit product of each word with a constant that is not
// known outside, one multiplication a word.
func (d *Depot) hash(trace []guestmem.GVA) uint64 {
	h := d.seed ^ uint64(len(trace))
	for _, a := range trace {
		hi, lo := bits.Mul64(h^uint64(a), 0x9e37_79b9_7f4a_7c15^d.seed|1)
		h = hi ^ lo
	}
	return h
}
