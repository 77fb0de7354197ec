package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// TextOptions changes what WriteText writes. Nil is the zero value.
type TextOptions struct {
	// Style is the version of kmemleak's format; the zero value is the
	// newest.
	Style Style
	// RecordsOnly leaves out all but the records, and orders them by age, the
	// oldest first: what /sys/kernel/debug/kmemleak would show, nothing where
	// nothing leaked.
	RecordsOnly bool
	// Allocators are functions that the summary looks through for the caller
	// to blame, besides the hooked ones.
	Allocators []string
}

// headerWidth is where a list in the header is broken into lines, in
// characters.
const headerWidth = 100

// WriteText writes r as text: the header, then one record for each orphan, by
// leak. What hangs on a leak is folded under it: its records follow without a
// "BUG: memory leak" line of their own, so that who counts those counts leaks.
// Behind a record stands, after "leakvisor: ", what kmemleak's form has no
// place for.
func WriteText(w io.Writer, r *Report, opts *TextOptions) error {
	var o TextOptions
	if opts != nil {
		o = *opts
	}
	given := r.Orphans
	r = r.normalized()
	out := bufio.NewWriter(w)
	if o.RecordsOnly {
		r.Orphans = slices.Clone(given)
		slices.SortStableFunc(r.Orphans, func(a, b Orphan) int { return cmp.Compare(b.AgeMS, a.AgeMS) })
	} else {
		writeHeader(out, r, r.skip(o.Allocators))
	}
	var b []byte
	for i := range r.Orphans {
		b = b[:0]
		if !o.RecordsOnly && r.heads(i) {
			b = append(b, "\nBUG: memory leak\n"...)
		}
		b = o.Style.appendRecord(b, &r.Orphans[i])
		if !o.RecordsOnly {
			b = r.Orphans[i].appendMore(b)
		}
		if _, err := out.Write(b); err != nil {
			break // Flush returns it
		}
	}
	if !o.RecordsOnly && len(r.Explanations) > 0 {
		out.WriteByte('\n')
		told := 0 // of the same query
		for i := range r.Explanations {
			e := &r.Explanations[i]
			writeExplanation(out, e)
			if told++; i+1 < len(r.Explanations) && r.Explanations[i+1].Query == e.Query {
				continue
			}
			if e.Matches > told {
				fmt.Fprintf(out, "leakvisor: explain %s, %d more objects match\n", e.query(), e.Matches-told)
			}
			told = 0
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("report: writing text: %w", err)
	}
	return nil
}

// writeHeader writes the proof that the detector was live, the verdict and the
// summary. Errors stay in out.
func writeHeader(out *bufio.Writer, r *Report, skip Skip) {
	line := func(format string, args ...any) {
		out.WriteString("leakvisor: ")
		fmt.Fprintf(out, format, args...)
		out.WriteByte('\n')
	}
	g, l, s := &r.Guest, &r.Liveness, &r.Scan
	line("guest: Linux %s %s, %d vCPUs, KASLR slide %s", free(g.Release), free(g.Arch), g.VCPUs, free(g.Slide))
	line("build ID: %s", free(g.BuildID))
	line("hypervisor: %s, hooks by %s", free(g.HV), free(g.Mechanism))
	line("calls: %d entries, %d exits, %d in flight, %d lost", l.Entries, l.Exits, l.InFlight, l.Lost)
	var hit, idle []string
	for _, h := range l.Hooks {
		if h.Hits == 0 {
			idle = append(idle, free(h.Symbol))
		} else {
			hit = append(hit, fmt.Sprintf("%s=%d", free(h.Symbol), h.Hits))
		}
	}
	list(line, "hits: ", hit)
	list(line, "not hit: ", idle)
	line("scan: at %s, %d objects, %d bytes scanned, paused %.1f ms", free(s.At), s.Objects, s.Bytes, s.PausedMS)
	if s.Precise {
		line("precise: %d objects scanned by their types", s.Typed)
	}
	if s.Unknown != 0 {
		line("unknown: %d objects neither reachable nor orphans", s.Unknown)
	}
	hid := func(how string, rules []Rule) {
		for _, h := range rules {
			if h.Objects > 0 {
				line("%s: %d objects of %d bytes by %s (%s line %d)", how, h.Objects, h.Bytes, free(h.Rule), free(h.File), h.Line)
			}
		}
	}
	hid("annotated", r.Annotated)
	hid("suppressed", r.Suppressed)
	for _, reason := range r.Reasons {
		line("reason: %s", free(reason))
	}
	if len(r.Orphans) == 0 {
		line("verdict: %s", r.Verdict)
		return
	}
	var size uint64
	leaks := 0
	groups := r.groups(skip)
	for _, g := range groups {
		size = saturating(size, g.bytes)
		leaks += g.leaks
	}
	line("verdict: %s, %d orphans of %d bytes in %d leaks", r.Verdict, len(r.Orphans), size, leaks)
	line("%8s %8s %12s  allocated in", "leaks", "orphans", "bytes")
	for _, g := range groups {
		line("%8d %8d %12d  %s", g.leaks, len(g.orphans), g.bytes, free(g.caller))
	}
}

// appendMore appends the lines behind the record of o, if there is more to say.
func (o *Orphan) appendMore(b []byte) []byte {
	var words []string
	if o.Type != "" {
		words = append(words, "is of type "+free(o.Type))
	}
	if o.PreciseOnly {
		words = append(words, "is found by the precise scan only")
	}
	if o.RetainedObjects > 1 {
		words = append(words, fmt.Sprintf("retains %d objects of %d bytes", o.RetainedObjects, o.RetainedBytes))
	}
	if o.Cycle {
		words = append(words, "is in a cycle")
	}
	if o.Root != 0 {
		words = append(words, fmt.Sprintf("hangs on %s", o.Parent))
	}
	if len(words) == 0 {
		return b
	}
	b = fmt.Appendf(b, "leakvisor: %s %s\n", o.Address, strings.Join(words, ", "))
	words = words[:0]
	for _, c := range o.RefCounts {
		words = append(words, fmt.Sprintf("%d in %s", c.Value, free(c.Member)))
	}
	if len(words) > 0 {
		b = fmt.Appendf(b, "leakvisor: %s counts references, %s\n", o.Address, strings.Join(words, ", "))
	}
	if o.HiddenBy != nil {
		b = fmt.Appendf(b, "leakvisor: %s is hidden from others by %s\n", o.Address, o.HiddenBy.text())
	}
	return b
}

// list writes the words behind the title, in as many lines as they need.
func list(line func(string, ...any), title string, words []string) {
	var b strings.Builder
	for i, w := range words {
		if b.Len() == 0 {
			b.WriteString(title)
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(w)
		if i == len(words)-1 || b.Len()+len(words[i+1]) >= headerWidth {
			line("%s", b.String())
			b.Reset()
		}
	}
}

// free returns free text for the header: without control characters, and with
// a space before each colon, so that no reason and no name is taken for one of
// the kernel's own headings ("BUG:", "WARNING:", "panic:").
func free(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.ReplaceAll(printable(s), ":", " :")
}
