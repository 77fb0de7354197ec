package scanner

import "sync"

const (
	maxZones = 64 // about; a target has 8 bits for it
	// boxTargets are handed over together.
	boxTargets = 128
	// boxStride is how far apart a worker's boxes begin: not in the same lines of
	// the cache.
	boxStride = boxTargets + 8
	// So many targets are better looked at zone by zone.
	maxChase = 32
)

// A zone is a run of spans whose part of the index and of the marks stays in a
// CPU's cache. What words point to is not looked up when they are found, which
// would be a cache miss for each, but put into the box of its zone; boxes are
// emptied when there is enough in them, one zone after another. And as only
// one worker is in a zone at a time, it needs no atomic operation for a mark.
type zone struct {
	// mu guards what belongs to the zone's spans: marks, edges, pending and queued.
	// A worker holds one at most, and only for as long as it takes to look at
	// what has been found: it never reads memory meanwhile.
	mu sync.Mutex
	// in guards box, what it was given.
	in  sync.Mutex
	box []target
}

// zoneSpans is where a zone begins.
type zoneSpans struct {
	span    uint32 // a region begins with it
	granule uint32
}

// setZones makes zones of the chunks, and says so in these. They begin as near
// to where a chunk does as a region does. granules is how many there are.
func (x *Index) setZones(list []draft, granules uint32) {
	n := uint32(len(x.owners))
	x.zones = append(x.zones, zoneSpans{})
	for i := range list {
		at := (list[i].first + 1<<maxRegion/2) &^ (1<<maxRegion - 1)
		if last := x.zones[len(x.zones)-1].span; at > last && at < n && at-last >= n/maxZones {
			x.zones = append(x.zones, zoneSpans{at, x.chunks[i].granule()})
		}
		x.chunks[i].to |= target(len(x.zones)-1) << zoneBit
	}
	x.zones = append(x.zones, zoneSpans{n, granules})
	x.zoneOf = make([]uint8, (n-1)>>maxRegion+1)
	zone := uint8(0)
	for k := range x.zoneOf {
		for x.zones[zone+1].span <= uint32(k)<<maxRegion {
			zone++
		}
		x.zoneOf[k] = zone
	}
}

// zone returns the zone of span i.
func (x *Index) zone(i uint32) uint8 { return x.zoneOf[i>>maxRegion] }

// outbox is what a worker has for zones and did not yet hand over.
type outbox struct {
	targets []target       // of zone i those from i*boxStride on
	n       [1 << 8]uint32 // how many
	// dirty are the zones that were given something since the worker last settled,
	// busy those of them that another was in then.
	dirty, busy []uint8
	isDirty     []bool // of each zone
	unsure      bool   // some zones may have been given something and not be dirty
	// full are the zones to be drained, while draining.
	full     []uint8
	draining bool
	spare    []target // a box without content
}

func newOutbox(m *marker) outbox {
	n := len(m.zones)
	return outbox{targets: make([]target, n*boxStride), isDirty: make([]bool, n), spare: make([]target, 0, m.boxSize)}
}

// send puts targets into the boxes of their zones.
func (w *worker) send(targets []target) {
	for _, t := range targets {
		if zone, n := w.box.put(t); n == 1 || n == boxTargets {
			w.posted(zone)
		}
	}
}

// put puts a target into the box of its zone, and returns that and how many are
// in it.
func (o *outbox) put(t target) (zone uint8, n uint32) {
	zone = t.zone()
	n = o.n[zone]
	o.targets[uint32(zone)*boxStride+n] = t
	o.n[zone] = n + 1
	return zone, n + 1
}

// sendWord sends what a word points to.
func (w *worker) sendWord(word uint64) {
	if t, ok := w.m.x.target(word); ok {
		w.send([]target{t})
	}
}

// posted is called when a box has got its first target, and its last.
func (w *worker) posted(zone uint8) {
	o := &w.box
	o.setDirty(zone)
	switch {
	case o.n[zone] < boxTargets:
	case w.sweep.on && w.sweep.zone == zone:
		w.m.zones[zone].mu.Lock()
		w.markOwn(zone)
		w.m.zones[zone].mu.Unlock()
		w.drainAll()
	case w.handOver(zone) > w.m.boxSize-2*boxTargets:
		w.drain(zone)
	}
}

// markOwn marks what w has for a zone that is w's.
func (w *worker) markOwn(zone uint8) {
	o := &w.box
	w.markAll(zone, o.targets[uint32(zone)*boxStride:][:o.n[zone]])
	o.n[zone] = 0
}

// handOver gives a zone what w has for it, and says how much it has then.
func (w *worker) handOver(zone uint8) int {
	o, z := &w.box, &w.m.zones[zone]
	z.in.Lock()
	if z.box == nil {
		z.box = make([]target, 0, w.m.boxSize)
	}
	z.box = append(z.box, o.targets[uint32(zone)*boxStride:][:o.n[zone]]...)
	n := len(z.box)
	z.in.Unlock()
	o.n[zone] = 0
	return n
}

// drain marks what a zone was given.
func (w *worker) drain(zone uint8) {
	w.box.full = append(w.box.full, zone)
	w.drainAll()
}

// drainAll marks what the zones in full were given, and sends what that brought
// to light, which may make others full.
func (w *worker) drainAll() {
	o := &w.box
	if o.draining {
		return
	}
	o.draining = true
	for len(o.full)+len(w.late) > 0 {
		if n := len(o.full); n > 0 {
			zone := o.full[n-1]
			o.full = o.full[:n-1]
			w.markZone(zone)
			continue
		}
		var some [boxTargets]target
		n := copy(some[:], w.late[max(0, len(w.late)-boxTargets):])
		w.late = w.late[:len(w.late)-n]
		w.send(some[:n])
	}
	o.draining = false
}

// chase marks what has come to light, and at once what that brings to light, as
// long as it is little: a list, whose members do not come to light together, does
// not have to go through boxes.
func (w *worker) chase() {
	m := w.m
	for n := len(w.late); n > 0 && n < maxChase; n = len(w.late) {
		t := w.late[n-1]
		w.late = w.late[:n-1]
		zone := t.zone()
		z := &m.zones[zone]
		z.mu.Lock()
		if i := t.span(m.x); m.x.zone(i) != zone {
			w.late = append(w.late, m.x.direct(i))
		} else if m.states[i>>6].mark(i) > 0 {
			w.reach(i)
		}
		z.mu.Unlock()
	}
}

// markZone marks what a zone was given.
func (w *worker) markZone(zone uint8) {
	w.m.zones[zone].mu.Lock()
	w.markLocked(zone)
}

// markLocked does so in a zone that is w's, and lets go of it.
func (w *worker) markLocked(zone uint8) {
	z := &w.m.zones[zone]
	z.in.Lock()
	targets := z.box
	if len(targets) == 0 {
		z.in.Unlock()
		z.mu.Unlock()
		return
	}
	z.box = w.box.spare
	z.in.Unlock()
	w.warm(zone, len(targets))
	for rest := targets; len(rest) > 0; {
		n := min(len(rest), boxTargets)
		w.markAll(zone, rest[:n])
		rest = rest[n:]
	}
	z.mu.Unlock()
	w.box.spare = targets[:0]
}

// warm reads a zone's granules, if most will be needed for so many targets: from
// one end to the other that is faster.
func (w *worker) warm(zone uint8, targets int) {
	x := w.m.x
	granules := x.granules[x.zones[zone].granule:x.zones[zone+1].granule]
	if len(granules) > 4*targets {
		return
	}
	for i := 0; i < len(granules); i += 4 { // one in each line of the cache
		w.warmed += granules[i].before
	}
}

// empty marks what a zone that is w's was given, and what w has for it, lets go of
// it, and marks what that brought to light.
func (w *worker) empty(zone uint8) {
	w.markOwn(zone)
	w.markLocked(zone)
	w.chase()
	w.drainAll()
}

// unsettled says whether there is something for settle to do.
func (o *outbox) unsettled() bool {
	if o.unsure {
		o.unsure = false
		for zone := range o.isDirty {
			if o.n[zone] > 0 {
				o.setDirty(uint8(zone))
			}
		}
	}
	return len(o.dirty) > 0
}

func (o *outbox) setDirty(zone uint8) {
	if !o.isDirty[zone] {
		o.isDirty[zone] = true
		o.dirty = append(o.dirty, zone)
	}
}

// settle drains all zones that w gave something, first those that no other
// worker is in.
func (w *worker) settle() {
	o := &w.box
	for o.unsettled() || len(o.busy) > 0 {
		wait := len(o.dirty) == 0
		if wait {
			o.dirty, o.busy = o.busy, o.dirty
		}
		zone := o.dirty[len(o.dirty)-1]
		o.dirty = o.dirty[:len(o.dirty)-1]
		if z := &w.m.zones[zone]; wait {
			z.mu.Lock()
		} else if !z.mu.TryLock() {
			o.busy = append(o.busy, zone)
			continue
		}
		o.isDirty[zone] = false
		w.empty(zone)
	}
}
