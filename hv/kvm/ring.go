//go:build linux && amd64

package kvm

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"
)

// ring is the tracer's side of the memory that stubs write to: one page of
// code, the records, and one page with the head and the tail.
type ring struct {
	layout  ringLayout
	context *stubContext
	code    []byte
	used    int // bytes of code; with all vCPUs standing still
	data    []byte
	head    *atomic.Uint64 // written by the guest
	tail    *atomic.Uint64 // written by us
	stubs   atomic.Pointer[[]stub]

	mu     sync.Mutex
	moved  *sync.Cond // the tail has moved, or somebody wants a pause
	chunks [][]byte   // taken out, whole records
	spare  []byte
	pos    uint64 // what was taken out; the tail
	waits  uint64 // how often a vCPU found no room
}

const chunkBytes = 256 << 10

// errDamaged is what a guest gets that writes to the ring itself.
var errDamaged = errors.New("kvm: the guest has written to the tracer's ring: its events are lost")

func newRing(l ringLayout, context *stubContext, mem []byte) *ring {
	head := largePage + l.size
	r := &ring{
		layout: l, context: context, code: mem[:largePage], data: mem[largePage:head],
		head: (*atomic.Uint64)(unsafe.Pointer(&mem[head])), tail: (*atomic.Uint64)(unsafe.Pointer(&mem[head+headTail])),
	}
	r.moved = sync.NewCond(&r.mu)
	r.stubs.Store(&[]stub{})
	return r
}

// install puts stubs into the code page, behind older ones. Those stay: a task
// of the guest's may have been interrupted at the first or last instruction of
// one, and its records may still be in the ring. All vCPUs stand still.
func (r *ring) install(s *stubSet) {
	r.used += copy(r.code[r.used:], s.code.b)
	stubs := append(append([]stub{}, *r.stubs.Load()...), s.stubs...)
	r.stubs.Store(&stubs)
}

// inStub says whether rip is in the code page.
func (r *ring) inStub(rip uint64) bool { return r != nil && rip-r.layout.code < largePage }

// word, putWord and put access the ring at an offset, which may be beyond its
// end.
func (r *ring) word(at uint64) uint64 {
	return binary.LittleEndian.Uint64(r.data[at%r.layout.size&^7:])
}

func (r *ring) putWord(at, v uint64) {
	binary.LittleEndian.PutUint64(r.data[at%r.layout.size&^7:], v)
}

func (r *ring) put(at uint64, b []byte) {
	n := copy(r.data[at%r.layout.size:], b)
	copy(r.data, b[n:])
}

// collect takes out what is complete, at most chunkBytes and a record. mu is
// held.
func (r *ring) collect() ([]byte, error) {
	out := r.spare[:0]
	r.spare = nil
	for len(out) < chunkBytes {
		at := r.pos % r.layout.size
		size := (*atomic.Uint64)(unsafe.Pointer(&r.data[at])).Load()
		if size == 0 {
			break
		}
		if size < exitRecord || size%8 != 0 || size > largePage/2 {
			return nil, errDamaged
		}
		end := min(at+size, r.layout.size)
		out = append(append(out, r.data[at:end]...), r.data[:at+size-end]...)
		clear(r.data[at:end])
		clear(r.data[:at+size-end])
		r.pos += size
	}
	if len(out) > 0 {
		r.tail.Store(r.pos)
		r.moved.Broadcast()
	}
	return out, nil
}

// next returns a run of whole records, empty if there is none.
func (r *ring) next(done []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cap(done) > cap(r.spare) {
		r.spare = done
	}
	if len(r.chunks) > 0 {
		c := r.chunks[0]
		r.chunks = r.chunks[1:]
		return c, nil
	}
	return r.collect()
}

// wake lets those who wait for room look again.
func (r *ring) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved.Broadcast()
}

// awaitRoom returns when the reader has moved the tail to where a vCPU needs it
// at least. While pausing says so the reader may be the one who waits for us:
// then everything is taken out here.
func (r *ring) awaitRoom(tail int64, pausing func() bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits++
	for int64(r.pos) < tail && !pausing() {
		r.moved.Wait()
	}
	for pausing() {
		b, err := r.collect()
		if err != nil || len(b) == 0 {
			return err
		}
		r.chunks = append(r.chunks, b)
	}
	return nil
}

// reader hands out records one by one, for one goroutine.
type reader struct {
	chunk []byte
	at    int
	pos   uint64 // in the ring, of the next record
}

// peek returns the next record and what it tells of, nil if there is none
// yet.
func (d *reader) peek(r *ring) ([]byte, *stub, error) {
	if d.at == len(d.chunk) {
		c, err := r.next(d.chunk)
		if err != nil {
			return nil, nil, err
		}
		d.chunk, d.at = c, 0
		if len(c) == 0 {
			return nil, nil, nil
		}
	}
	rest := d.chunk[d.at:]
	size, number := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[recStub:])
	stubs := *r.stubs.Load()
	if number >= uint64(len(stubs)) || uint64(stubs[number].size) != size || size > uint64(len(rest)) {
		return nil, nil, errDamaged
	}
	return rest[:size], &stubs[number], nil
}

// advance goes on behind a record.
func (d *reader) advance(record []byte) {
	d.at += len(record)
	d.pos += uint64(len(record))
}
