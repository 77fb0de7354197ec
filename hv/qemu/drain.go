package qemu

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"sync"
	"time"
)

// drainer moves records from the ring to a queue in this process. It waits
// for nothing but room in the queue, and not even for that during a pause,
// so vCPUs that wait for room in the ring always get it.
type drainer struct {
	ring    *ring
	ctl     *control
	bell    *os.File
	entered chan<- struct{}

	ready chan struct{} // has an element when the queue may have changed
	done  chan struct{} // closed when nothing comes any more

	mu        sync.Mutex
	room      *sync.Cond
	chunks    []chunk
	queued    int // bytes
	unbounded int // number of pauses under way
	closed    bool
	err       error
	free      [][]byte
}

// chunk is a run of whole records; end is the ring position behind them.
type chunk struct {
	data []byte
	end  uint64
}

const (
	maxQueued  = 16 << 20 // bytes of the queue before the guest has to wait
	chunkBytes = 256 << 10
	// drainEvery is how long an event stays in the ring at most. The plugin
	// rings the bell earlier when much is there or someone waits.
	drainEvery = 50 * time.Millisecond
)

func newDrainer(r *ring, ctl *control, bell *os.File, entered chan<- struct{}) *drainer {
	d := &drainer{
		ring: r, ctl: ctl, bell: bell, entered: entered,
		ready: make(chan struct{}, 1), done: make(chan struct{}),
	}
	d.room = sync.NewCond(&d.mu)
	return d
}

// run drains until exited is closed and the ring is empty.
func (d *drainer) run(exited <-chan struct{}) {
	defer close(d.done)
	defer notify(d.ready)
	asked := uint32(0)
	var spare []byte
	for {
		if spare == nil {
			spare = d.buffer()
		}
		ended := isClosed(exited) // looked at before the ring
		buf, err := d.ring.collect(spare, chunkBytes)
		if err != nil {
			d.mu.Lock()
			d.err = err
			d.mu.Unlock()
			// Nobody reads the ring any more; whoever waits for room waits
			// until QEMU is ended.
			return
		}
		// The plugin asks once more after each time it was refused.
		if d.ctl.phase.Load() == phaseEntered && d.ctl.refused.Load() == asked {
			asked++
			d.entered <- struct{}{}
		}
		if len(buf) > 0 {
			spare = nil
			if !d.push(chunk{buf, d.ring.pos}) {
				return
			}
			continue
		}
		if ended {
			return
		}
		d.sleep()
	}
}

// sleep waits for the bell, an eighth of the ring, or drainEvery.
func (d *drainer) sleep() {
	mark := d.ring.pos + d.ring.size()/8
	d.ctl.wakeAt.Store(mark)
	defer d.ctl.wakeAt.Store(math.MaxUint64)
	if d.ctl.head.Load() >= mark {
		return
	}
	_ = d.bell.SetReadDeadline(time.Now().Add(drainEvery))
	var count [8]byte
	if _, err := d.bell.Read(count[:]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		time.Sleep(drainEvery / 10) // the bell is broken: poll
	}
}

// nudge makes run look at the ring now.
func (d *drainer) nudge() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = d.bell.Write(one[:])
}

// push appends c to the queue, waiting while that is full. It is false when
// the drainer is to end.
func (d *drainer) push(c chunk) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.queued > maxQueued && d.unbounded == 0 && !d.closed {
		d.room.Wait()
	}
	if d.closed {
		return false
	}
	d.chunks = append(d.chunks, c)
	d.queued += len(c.data)
	notify(d.ready)
	return true
}

// pop takes the oldest chunk, if there is one. After done is closed and no
// chunk is left, err says whether the ring was damaged.
func (d *drainer) pop() (c chunk, ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.chunks) == 0 {
		return chunk{}, false, d.err
	}
	c = d.chunks[0]
	d.chunks[0] = chunk{}
	d.chunks = d.chunks[1:]
	d.queued -= len(c.data)
	d.room.Signal()
	return c, true, nil
}

// buffer returns an empty buffer for a chunk.
func (d *drainer) buffer() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.free); n > 0 {
		b := d.free[n-1]
		d.free = d.free[:n-1]
		return b
	}
	return make([]byte, 0, chunkBytes)
}

// recycle gives a chunk's memory back.
func (d *drainer) recycle(c chunk) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.free) < 8 {
		d.free = append(d.free, c.data[:0])
	}
}

// unbound lets the queue grow without limit until the returned function is
// called.
func (d *drainer) unbound() func() {
	d.mu.Lock()
	d.unbounded++
	d.room.Signal()
	d.mu.Unlock()
	return func() {
		d.mu.Lock()
		d.unbounded--
		d.mu.Unlock()
	}
}

// stop makes run end even if nobody takes from the queue.
func (d *drainer) stop() {
	d.mu.Lock()
	d.closed = true
	d.room.Broadcast()
	d.mu.Unlock()
	d.nudge()
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
