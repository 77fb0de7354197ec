package scanner

import (
	"context"

	"github.com/leakvisor/leakvisor/guestmem"
)

const (
	// Objects that lie at most maxGap bytes apart are filtered in one run.
	maxGap    = 256
	maxPieces = 256     // of a run
	maxRun    = 1 << 20 // bytes of a run, of a part of a job and of a view
	// maxScan is how much of one object or root is read: guests have less
	// memory, but can map the same page again and again.
	maxScan = 1 << 40
	// maxMisses ends the reading of a range after as many unreadable pages
	// in a row: 64 MiB.
	maxMisses = 1 << 14
	pageBytes = 1 << 12 // the smallest page of any guest
)

// stretch is the range [start, last] of an object or root that is read; from
// is the object's first span, or none.
type stretch struct {
	start, last uint64
	from        uint32
}

// worker is one goroutine's share of a scan.
type worker struct {
	ctx context.Context // of the call that the worker works for
	m   *marker
	// run holds the pieces being read, ascending, of whole words.
	run     []stretch
	hits    hits // in what was just filtered
	marks   *marks
	merged  [64]uint64       // marks of all workers
	units   [setWords]uint64 // for marking
	late    []target
	reached int // spans for which there was more to be done
	sweep   sweep
	// visit, where not nil, is told of each reference in place of marking: to
	// one object from another, both by their first span, by the word at
	// address at.
	visit func(to, from uint32, word, at uint64)
	out   []uint32 // regions to be scanned
	jobs  jobs     // likewise
	view  view
	ex    int // cursor in m.exclude
	// bytes that were scanned, of roots and special objects. What of these
	// could not be read is in bad, of plain objects in badPlain.
	bytes         uint64
	bad, badPlain []gvaRange
}

func newWorker(ctx context.Context, m *marker) *worker {
	return &worker{ctx: ctx, m: m, run: make([]stretch, 0, maxPieces)}
}

func (w *worker) scanJob(j job) {
	w.run = append(w.run[:0], j.stretch)
	w.bytes += j.last - j.start + 1
	w.scanRun(j.mem, j.exclude)
}

// scanSpan adds span i to the run.
func (w *worker) scanSpan(i uint32) {
	start, last := w.m.x.starts[i], w.m.x.last(i)
	if !has(w.m.special, i) {
		w.add(stretch{start, last, i})
		return
	}
	o := &w.m.in.Objects[w.m.x.owners[i]]
	if o.Flag&(NoScan|Ignore) != 0 || o.Flag&NotMapped != 0 && start-uint64(o.Addr) < max(o.Size, 1) {
		return
	}
	from := w.m.x.primary(i)
	switch {
	case o.Parts != nil:
	case o.Layout != 0:
		_, off := place(o, start)
		w.m.in.Layouts[o.Layout-1].Each(off, off+last-start, func(lo, hi uint64) {
			w.add(stretch{start - off + lo, start - off + hi, from})
		})
		return
	default:
		w.add(stretch{start, last, from})
		return
	}
	for _, p := range normal(o.Parts) {
		w.add(stretch{max(start, uint64(p.Start)), min(last, uint64(p.End-1)), from})
	}
}

// add adds the words that lie wholly in p to the run, after scanning the run
// where they do not fit.
func (w *worker) add(p stretch) {
	p, ok := w.m.words(p)
	if !ok {
		return
	}
	if p.last-p.start >= 2*maxRun {
		w.addLarge(p)
		return
	}
	// A piece before the run's end is as good as one far behind it.
	if n := len(w.run); n > 0 && (p.start-w.run[n-1].last-1 > maxGap || n == maxPieces || p.last-w.run[0].start >= 2*maxRun) {
		w.scanRun(w.m.in.Memory, true)
	}
	w.run = append(w.run, p)
	if has(w.m.special, p.from) {
		w.bytes += p.last - p.start + 1
	}
}

func (w *worker) addLarge(p stretch) {
	w.scanRun(w.m.in.Memory, true)
	j := job{stretch: p, mem: w.m.in.Memory, exclude: true}
	if w.visit == nil && p.last-p.start < maxSplit {
		w.jobs.add(j)
		return
	}
	w.scanJob(j)
}

// scanRun reads the run, filters it, and empties it.
func (w *worker) scanRun(mem guestmem.Memory, exclude bool) {
	if len(w.run) == 0 {
		return
	}
	at, last := w.run[0].start, w.run[len(w.run)-1].last
	size := w.m.f.size
	cur, misses := 0, 0
	if exclude {
		w.seekExclude(at)
	}
	var one [8]byte
	for n := 1; ; n++ {
		if n%64 == 0 && w.ctx.Err() != nil {
			break // the caller notices
		}
		left := last - at + 1
		if left == 0 {
			left = -size // all of the address space
		}
		var b []byte
		var err error
		if at-w.run[0].start >= maxScan {
			w.miss(at, last)
			break
		}
		if exclude {
			b, err = w.view.get(mem, at, left)
		} else {
			b, err = mem.View(guestmem.GVA(at), int(min(left, maxRun)))
		}
		if err == nil && uint64(len(b)) < size {
			// The word's bytes are not contiguous on the host.
			err = guestmem.Read(mem, guestmem.GVA(at), one[:size])
			b = one[:size]
		}
		step := min(uint64(len(b))&^(size-1), left)
		if err == nil {
			misses = 0
			cur = w.blocks(b[:step], at, cur, exclude)
		} else {
			if w.sweep.on {
				w.sweep.failed, w.sweep.failedAt = true, at
				break
			}
			if misses++; misses < maxMisses {
				step = min(max(pageBytes-at%pageBytes, guestmem.HoleOf(err)&^(size-1)), left)
			} else {
				step = left
			}
			w.miss(at, at+step-1)
		}
		if step == left {
			break
		}
		at += step
	}
	w.run = w.run[:0]
}

// blocks filters b, whole words at address at, from the run's piece cur on,
// and returns the piece where it ended.
func (w *worker) blocks(b []byte, at uint64, cur int, exclude bool) int {
	f, h := &w.m.f, &w.hits
	simple := w.visit == nil && len(w.run) == 1 && (!exclude || w.ex == len(w.m.exclude))
	for next := 0; next < len(b); {
		n := min(len(b)-next, blockWords<<f.shift)
		f.filter(h, b[next:next+n], uint32(next), &w.m.x.bands)
		if next += n; h.n < batch && next < len(b) {
			continue
		}
		if !simple {
			cur = w.choose(b, at, cur, exclude)
		}
		if w.sweep.on {
			w.hold(b, at)
		}
		w.send(b, h.off[:h.n])
		h.n = 0
	}
	return cur
}

// send notes what the words of b at offs point to.
func (w *worker) send(b []byte, offs []uint32) {
	f := &w.m.f
	for len(offs) > 0 {
		n := 0
		if some := offs[:min(len(offs), setWords)]; !w.m.exact {
			n = f.set(w.marks.units, w.m.x, b, some, &w.units)
			if n == len(some) {
				offs = offs[n:]
				continue
			}
		}
		w.referWord(f.word(b[offs[n]:]))
		offs = offs[n+1:]
	}
	if w.m.exact && len(w.late) > maxLate {
		w.markLate()
	}
}

// choose leaves out the hits, in b at address at, that are in no piece or
// excluded, and shows the others to visit, where there is one.
func (w *worker) choose(b []byte, at uint64, cur int, exclude bool) int {
	h := &w.hits
	n := h.n
	h.n = 0
	for _, off := range h.off[:n] {
		a := at + uint64(off)
		for w.run[cur].last < a {
			cur++
		}
		switch {
		case w.run[cur].start > a || exclude && w.excluded(a):
		case w.visit != nil:
			w.tell(w.m.f.word(b[off:]), w.run[cur].from, a)
		default:
			h.add(off, 1)
		}
	}
	return cur
}

// tell has visit see a word.
func (w *worker) tell(word uint64, from uint32, at uint64) {
	if i, ok := w.m.x.find(word); ok {
		if i = w.m.x.primary(i); i != from {
			w.visit(i, from, word, at)
		}
	}
}

// miss records what of the run lies in the unreadable range [at, last].
func (w *worker) miss(at, last uint64) {
	for _, p := range w.run {
		a, b := max(p.start, at), min(p.last, last)
		if a > b {
			continue
		}
		bad := &w.badPlain
		if p.from == none || p.from&rootBit != 0 || has(w.m.special, p.from) {
			w.bytes -= b - a + 1
			bad = &w.bad
		}
		if n := len(*bad); n > 0 && uint64((*bad)[n-1].End) == a {
			(*bad)[n-1].End = guestmem.GVA(b + 1)
			continue
		}
		*bad = append(*bad, gvaRange{Start: guestmem.GVA(a), End: guestmem.GVA(b + 1)})
	}
}

// seekExclude puts the cursor to the first excluded range that ends behind a.
func (w *worker) seekExclude(a uint64) {
	ex := w.m.exclude
	if w.ex > 0 && uint64(ex[w.ex-1].End) > a || w.ex < len(ex) && uint64(ex[w.ex].End) <= a {
		w.ex = w.m.firstExclude(a)
	}
}

// excluded says whether the word at a is; a never falls within a run.
func (w *worker) excluded(a uint64) bool {
	ex := w.m.exclude
	for w.ex < len(ex) && uint64(ex[w.ex].End) <= a {
		w.ex++
	}
	return w.ex < len(ex) && uint64(ex[w.ex].Start) <= a
}
