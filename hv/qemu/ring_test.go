package qemu

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/leakvisor/leakvisor/hv"
)

const testRingSize = 64 << 10

// testRing is a ring without a plugin, which the test writes to.
type testRing struct {
	*ring
	headV, tailV  atomic.Uint64
	roomV, waiter atomic.Uint32
}

func newTestRing(t testing.TB) *testRing {
	f, err := newMemfd("test-ring", testRingSize)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := mapTwice(int(f.Fd()), 0, testRingSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmapTwice(data) })
	r := &testRing{}
	r.ring = &ring{data: data, head: &r.headV, tail: &r.tailV, room: &r.roomV, waiters: &r.waiter, maxAhead: 2 * testRingSize}
	return r
}

// put writes a record of size bytes and kind to the ring.
func (r *testRing) put(size int, fill byte) {
	at := r.headV.Load() % testRingSize
	b := r.data[at : at+uint64(size)]
	for i := range b {
		b[i] = fill
	}
	(*atomic.Uint64)(unsafe.Pointer(&b[0])).Store(uint64(size) | kindEntry<<32)
	r.headV.Add(uint64(size))
}

func TestRingCollect(t *testing.T) {
	r := newTestRing(t)
	if out, err := r.collect(nil, 1000); err != nil || len(out) != 0 {
		t.Fatalf("an empty ring gave %d bytes, %v", len(out), err)
	}
	// Round and round, records of all sizes, at most as many as fit.
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 2000 {
		var want []byte
		for n := rng.IntN(5); n > 0; n-- {
			size := recordSize + recordAlign*rng.IntN(100)
			fill := byte(rng.Uint32())
			r.put(size, fill)
			b := bytes.Repeat([]byte{fill}, size)
			binary.NativeEndian.PutUint64(b, uint64(size)|kindEntry<<32)
			want = append(want, b...)
		}
		var got []byte
		for {
			out, err := r.collect(nil, 4096)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if len(out) == 0 {
				break
			}
			got = append(got, out...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("round %d: %d bytes, want %d", round, len(got), len(want))
		}
		if r.tailV.Load() != r.headV.Load() {
			t.Fatalf("round %d: tail %d, head %d", round, r.tailV.Load(), r.headV.Load())
		}
	}
	for i, b := range r.data {
		if b != 0 {
			t.Fatalf("byte %d of the empty ring is %#x", i, b)
		}
	}
}

func TestRingIncomplete(t *testing.T) {
	r := newTestRing(t)
	r.put(256, 1)
	r.headV.Add(512) // reserved, not written
	r.waiter.Store(1)
	out, err := r.collect(nil, 1<<20)
	if err != nil || len(out) != 256 {
		t.Fatalf("%d bytes, %v", len(out), err)
	}
	if r.roomV.Load() != 1 {
		t.Error("who waits for room was not woken")
	}
	if out, err = r.collect(out[:0], 1<<20); err != nil || len(out) != 0 {
		t.Fatalf("%d bytes of what is not written, %v", len(out), err)
	}
}

func FuzzRing(f *testing.F) {
	f.Add(uint64(256), uint64(256), []byte{})
	f.Add(uint64(128), uint64(math.MaxUint32), []byte{1})
	f.Add(uint64(math.MaxUint64-63), uint64(128), []byte{2})
	f.Add(uint64(64<<10+64), uint64(1<<32|192), bytes.Repeat([]byte{0xff}, 300))
	r := newTestRing(f)
	f.Fuzz(func(t *testing.T, head, commit uint64, content []byte) {
		clear(r.data[:testRingSize])
		copy(r.data[:testRingSize], content)
		(*atomic.Uint64)(unsafe.Pointer(&r.data[0])).Store(commit)
		r.headV.Store(head)
		r.pos = 0
		out, err := r.collect(nil, 4096)
		if err == nil && uint64(len(out)) > head {
			t.Fatalf("%d bytes of a ring of %d", len(out), head)
		}
		deliverAll(t, out)
	})
}

// deliverAll parses records until the end or an error.
func deliverAll(t *testing.T, b []byte) {
	var ev hv.Event
	for len(b) > 0 {
		meta, err := parseRecord(b, &ev)
		if err != nil {
			return
		}
		if meta.size < recordSize || meta.size > len(b) {
			t.Fatalf("a record of %d bytes in %d", meta.size, len(b))
		}
		if n := len(ev.Context) + len(ev.Stack) + len(ev.Array); n > meta.size {
			t.Fatalf("%d bytes in a record of %d", n, meta.size)
		}
		b = b[meta.size:]
	}
}

func makeRecord(context, stack, array []byte, edit func(*record)) []byte {
	pad := func(b []byte) []byte { return append(b, make([]byte, (8-len(b)%8)%8)...) }
	r := record{hook: 3, contextLen: uint32(len(context)), stackLen: uint32(len(stack)), arrayLen: uint32(len(array)),
		seq: 7, hold: 9, pc: 0x10, sp: 0x20, ret: 0x30, fp: 0x40, result: 0x50, args: [6]uint64{1, 2, 3, 4, 5, 6}}
	body := append(append(pad(bytes.Clone(context)), pad(bytes.Clone(stack))...), array...)
	size := (recordSize + len(body) + recordAlign - 1) &^ (recordAlign - 1)
	r.commit = uint64(size) | kindEntry<<32 | flagSync<<40 | 2<<48
	if edit != nil {
		edit(&r)
	}
	out := make([]byte, size)
	copy(out, unsafe.Slice((*byte)(unsafe.Pointer(&r)), recordSize))
	copy(out[recordSize:], body)
	return out
}

func TestParseRecord(t *testing.T) {
	var ev hv.Event
	b := makeRecord([]byte("context!"), []byte("stack of 21 bytes, it"), []byte("array of words.."), nil)
	meta, err := parseRecord(b, &ev)
	if err != nil || meta.size != len(b) || meta.seq != 7 || !meta.sync || meta.hold != 9 {
		t.Fatalf("%+v, %v", meta, err)
	}
	if ev.Kind != hv.Entry || ev.Hook != 3 || ev.VCPU != 2 || ev.PC != 0x10 || ev.SP != 0x20 || ev.Return != 0x30 || ev.FP != 0x40 || ev.Args[5] != 6 || ev.Result != 0 {
		t.Errorf("%+v", ev)
	}
	if string(ev.Context) != "context!" || string(ev.Stack) != "stack of 21 bytes, it" || string(ev.Array) != "array of words.." {
		t.Errorf("%q %q %q", ev.Context, ev.Stack, ev.Array)
	}
	b = makeRecord(nil, nil, nil, func(r *record) { r.commit = r.commit&0xffffffff | kindExit<<32 | flagArrayShort<<40; r.hook = -1 })
	if _, err = parseRecord(b, &ev); err != nil || ev.Kind != hv.Exit || ev.Hook != -1 || ev.Result != 0x50 || !ev.ArrayShort || ev.Return != 0 {
		t.Errorf("%+v, %v", ev, err)
	}
	for name, edit := range map[string]func(*record){
		"size":    func(r *record) { r.commit = r.commit&^0xffffffff | 64 },
		"longer":  func(r *record) { r.commit += 64 },
		"kind":    func(r *record) { r.commit |= 3 << 32 },
		"stack":   func(r *record) { r.stackLen = math.MaxUint32 },
		"context": func(r *record) { r.contextLen = 1 << 20 },
		"array":   func(r *record) { r.arrayLen = 65 },
	} {
		if _, err := parseRecord(makeRecord(nil, nil, nil, edit), &ev); err == nil {
			t.Errorf("%s: an impossible record was accepted", name)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add(makeRecord([]byte("context!"), []byte("stack"), []byte("array"), nil))
	f.Add(makeRecord(nil, nil, nil, func(r *record) { r.stackLen = math.MaxUint32 }))
	f.Fuzz(func(t *testing.T, b []byte) {
		aligned := make([]byte, len(b))
		copy(aligned, b)
		deliverAll(t, aligned)
	})
}
