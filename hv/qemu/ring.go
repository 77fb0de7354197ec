package qemu

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// ring reads the records that the plugin writes. Positions are bytes since
// the start of the run and never wrap. The writer is not trusted: whatever
// the memory holds, reading stays inside it and errs.
type ring struct {
	data          []byte // the ring, mapped twice in a row
	head          *atomic.Uint64
	tail          *atomic.Uint64
	room, waiters *atomic.Uint32
	pos           uint64 // own copy of tail
	maxAhead      uint64 // how far head may be ahead of pos
}

// maxRecord is the largest length of a record.
const maxRecord = uint64((recordSize + maxContext + maxStack + maxArrayWords*8 + recordAlign - 1) &^ (recordAlign - 1))

func newRing(s *shared, vcpus int) *ring {
	return &ring{
		data: s.ring, head: &s.ctl.head, tail: &s.ctl.tail,
		room: &s.ctl.room, waiters: &s.ctl.waiters,
		// Each vCPU can have reserved one record that has no room yet.
		maxAhead: uint64(len(s.ring)/2) + uint64(vcpus)*maxRecord,
	}
}

// size is the ring's size in bytes.
func (r *ring) size() uint64 { return uint64(len(r.data) / 2) }

// collect appends complete records to dst, some limit bytes at most but at
// least one if there is one, and frees their place in the ring.
func (r *ring) collect(dst []byte, limit int) ([]byte, error) {
	head := r.head.Load()
	if head-r.pos > r.maxAhead || head%recordAlign != 0 {
		return dst, fmt.Errorf("qemu: the plugin's ring is damaged: head %#x, tail %#x", head, r.pos)
	}
	at := r.pos % r.size()
	n := uint64(0)
	for r.pos+n < head && n < r.size() {
		commit := (*atomic.Uint64)(unsafe.Pointer(&r.data[at+n])).Load()
		if commit == 0 {
			break // reserved, not yet written
		}
		size := commit & 0xffffffff
		if size < uint64(recordSize) || size > maxRecord || size%recordAlign != 0 || size > head-r.pos-n || n+size > r.size() {
			return dst, fmt.Errorf("qemu: the plugin's ring is damaged: record of %d bytes at %#x", size, r.pos+n)
		}
		if n > 0 && n+size > uint64(limit) {
			break
		}
		n += size
	}
	if n == 0 {
		return dst, nil
	}
	dst = append(dst, r.data[at:at+n]...)
	// What is free must be zero, or a record that is being written would
	// look complete.
	clear(r.data[at : at+n])
	r.pos += n
	r.tail.Store(r.pos)
	if r.waiters.Load() != 0 {
		r.room.Add(1)
		futexWake(r.room)
	}
	return dst, nil
}
