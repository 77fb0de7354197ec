package leak

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hooks"
	"github.com/leakvisor/leakvisor/report"
	"github.com/leakvisor/leakvisor/scanner"
)

// judge makes the report of a frozen guest. The tracker has not been told of
// anything that happened since.
func (s *Session) judge(f *frozen, from Roots) (pending, error) {
	ctx := context.Background()
	p := s.look(f, from)
	s.mark(p)
	var err error
	if p.in.Index, err = scanner.NewIndex(p.in.Objects, p.in.WordSize, 0); err != nil {
		return pending{}, err
	}
	res, err := scanner.Scan(ctx, p.in, nil)
	if err != nil {
		return pending{}, err
	}
	if s.o.Precise {
		if res, err = s.precise(ctx, p, res); err != nil {
			return pending{}, err
		}
	}
	hidden, err := s.cover(ctx, p, res)
	if err != nil {
		return pending{}, err
	}
	r, orphans := s.report(p, res, hidden)
	if r.Explanations, err = s.explain(ctx, p, res, hidden); err != nil {
		return pending{}, err
	}
	r.Scan.At, r.Scan.Stacks = f.why, from.Stacks()
	r.Scan.PausedMS = float64(f.pause().Microseconds()) / 1000
	s.reports++
	if s.o.Judged != nil {
		err = s.o.Judged(s.judgement(p, res, hidden))
	}
	return pending{r, orphans}, err
}

// report makes the report of a scan; hidden objects are those that a rule
// hides, with its number. It returns the orphans, as they stand in it, too.
func (s *Session) report(p *picture, res *scanner.Result, hidden map[int]int) (*report.Report, []object) {
	var orphans []object
	r := &report.Report{
		Guest: report.Guest{
			BuildID:   hex.EncodeToString(s.img.BuildID()),
			Arch:      s.arch.Name,
			HV:        s.o.HV,
			Mechanism: s.m.Mechanism(),
			VCPUs:     s.m.VCPUs(),
			Slide:     fmt.Sprintf("%#x", s.slide),
			Marks:     s.marks(),
		},
		Scan:    report.Scan{Objects: uint64(len(p.objects)), Bytes: res.Bytes},
		Reasons: append(p.reasons, s.gaps...),
	}
	var err error
	if r.Guest.Release, _, err = p.kernel.Uname(); err != nil {
		s.log.Warn("reading the kernel's release", "error", err)
	}
	r.Scan.Precise, r.Scan.Typed = s.o.Precise, p.typed
	s.liveness(p, r)
	if res.UnreadableBytes > 0 {
		r.Reasons = append(r.Reasons, fmt.Sprintf("%d bytes of memory that may hold references cannot be read, the first at %#x", res.UnreadableBytes, uint64(res.Unreadable[0].Start)))
	}
	clock := s.clock(p)
	places := p.places(res)
	for _, i := range byLeak(res) {
		o := &p.objects[i]
		if p.descriptors[o.Addr] || !slices.Contains(s.o.Track, o.class) {
			continue
		}
		switch res.States[i] {
		case scanner.Unknown:
			r.Scan.Unknown++
		case scanner.Orphan:
			if age := clock.age(o.Jiffies); age >= s.o.MinAge {
				r.Orphans = append(r.Orphans, s.orphan(p, i, places[i], age))
				orphans = append(orphans, *o)
			}
		}
	}
	s.hid(r, hidden, func(i int) (uint64, bool) {
		o := &p.objects[i]
		return o.Size, !p.descriptors[o.Addr] && slices.Contains(s.o.Track, o.class) && clock.age(o.Jiffies) >= s.o.MinAge
	})
	switch {
	case len(r.Reasons) > 0:
		r.Verdict = report.Unknown
	case len(r.Orphans) > 0:
		r.Verdict = report.Leaks
	default:
		r.Verdict = report.Clean
	}
	return r, orphans
}

// liveness fills in the proof that everything was seen, and the reasons where
// it was not.
func (s *Session) liveness(p *picture, r *report.Report) {
	st := s.tracker.Stats()
	l := &r.Liveness
	l.Entries, l.Exits, l.Lost = st.Entries, st.Exits, p.lost
	doubt := func(n uint64, format string, args ...any) {
		if n > 0 {
			r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
		}
	}
	hits := map[hooks.Class]uint64{}
	for i, t := range s.plan.Targets {
		if t.Note != nil {
			l.Hooks = append(l.Hooks, report.Hook{Symbol: t.Symbol, Role: t.Note.Kind.String(), Hits: st.Hits[i]})
		}
		if t.Alloc == nil {
			continue
		}
		l.Hooks = append(l.Hooks, report.Hook{Symbol: t.Symbol, Role: t.Alloc.Role.String(), Hits: st.Hits[i]})
		if t.Alloc.Role == hooks.Alloc {
			hits[t.Alloc.Class] += st.Hits[i]
		}
	}
	for _, c := range s.o.Track {
		if hits[c] == 0 {
			r.Reasons = append(r.Reasons, fmt.Sprintf("no %s allocation was seen", c))
		}
	}
	var lost uint64
	for _, c := range s.tracker.Open() {
		if p.inFlight(c.SP, s.arch.Call.StackUp) {
			l.InFlight++
		} else {
			lost++
		}
	}
	lost += st.Unmatched
	doubt(l.Lost, "%d events were lost", l.Lost)
	doubt(lost, "%d allocator calls were not seen to return", lost)
	doubt(st.ShortArrays, "the objects of %d bulk calls could not be read", st.ShortArrays)
	doubt(st.Replaced+p.audit.stale, "%d objects were freed unseen", st.Replaced+p.audit.stale)
	l.SlabObjects, l.SlabTracked = p.audit.allocated, p.audit.tracked
	l.CutBacktraces = st.CutStacks
	for _, c := range s.o.Track {
		if c == hooks.Slab {
			l.StrayFrees = st.StrayFrees[c]
		}
	}
}

// inFlight says whether a call's stack pointer is on the live part of a
// stack, which has an end of its own where stacks grow upward.
func (p *picture) inFlight(sp guestmem.GVA, up bool) bool {
	for _, st := range p.live {
		if st.Range.Contains(sp) || up && sp == st.Range.End {
			return true
		}
	}
	return false
}

// orphan describes object i.
func (s *Session) orphan(p *picture, i int, at place, age time.Duration) report.Orphan {
	o := &p.objects[i]
	task := s.tracker.Task(o.Object)
	out := report.Orphan{
		Address: report.Hex(o.Addr), Size: o.Size, Kind: report.Kind(o.class.String()), Cache: o.cache,
		AgeMS: uint64(age.Milliseconds()), Jiffies: o.Jiffies, Comm: task.Comm, PID: int(task.PID),
	}
	at.tell(p, &out)
	if out.PreciseOnly = p.hidden[i]; out.PreciseOnly && at.direct {
		out.HiddenBy = s.hiddenBy(p, i)
	}
	if at.direct {
		out.RefCounts = s.refCounts(p, i)
	}
	out.Backtrace = s.backtrace(o.Object)
	so := &p.in.Objects[i]
	content := gvaRange{Start: so.Addr, End: so.Addr + guestmem.GVA(so.Size)}
	if so.Flag&scanner.NotMapped != 0 && len(so.Copies) > 0 {
		content = so.Copies[0]
		out.DumpCPU = p.percpu.CPUs[0].ID
	}
	const dump = 32
	buf := make([]byte, min(dump, content.Size()))
	if err := guestmem.Read(p.mem, content.Start, buf); err == nil {
		out.Dump = buf
	}
	if sum, err := scanner.Checksum(p.mem, content); err == nil {
		out.Checksum = sum
	}
	return out
}

// clock turns jiffies into ages.
type clock struct {
	now uint64
	hz  int
}

// clock reads the guest's time; without it all ages are zero, and
// Options.MinAge has no effect.
func (s *Session) clock(p *picture) clock {
	now, err := p.kernel.Jiffies()
	hz, err2 := p.kernel.HZ()
	if err != nil || err2 != nil || hz <= 0 {
		s.log.Warn("the guest's clock cannot be read", "jiffies", err, "HZ", err2)
		return clock{}
	}
	return clock{now, hz}
}

func (c clock) age(then uint64) time.Duration {
	if c.hz == 0 || then >= c.now {
		return 0
	}
	return time.Duration(float64(c.now-then) / float64(c.hz) * float64(time.Second))
}
