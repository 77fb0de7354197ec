package report

import (
	"bufio"
	"fmt"
	"strings"
)

// Explanation says why the verdict on one object is what it is.
type Explanation struct {
	Query string `json:"query"` // what was asked
	// Matches is how many objects there are that the query asks for; not of
	// all is there an explanation.
	Matches int `json:"matches,omitempty"`
	// Found says whether there is such an object; the rest is of it.
	Found   bool   `json:"found"`
	Address Hex    `json:"address,omitempty"`
	Size    uint64 `json:"size,omitempty"` // bytes
	Kind    Kind   `json:"kind,omitempty"`
	Cache   string `json:"cache,omitempty"`
	Type    string `json:"type,omitempty"`
	State   State  `json:"state,omitempty"`
	// Rule is the rule that hides the object, if one does.
	Rule string `json:"rule,omitempty"`
	// Path is a shortest way from a root to a reachable object.
	// Of a long one PathOmitted references in its middle are left out.
	Path        []Reference `json:"path,omitempty"`
	PathOmitted int         `json:"path_omitted,omitempty"`
	// Weak are the reasons to doubt that a reachable object is in use.
	Weak []string `json:"weak,omitempty"`
	// Referrers are references to an unreachable object, ReferrerCount how
	// many there are: not all are listed.
	Referrers     []Reference `json:"referrers,omitempty"`
	ReferrerCount int         `json:"referrer_count,omitempty"`
	// Content is what of an unreachable object's beginning is not zero.
	Content   []Value `json:"content,omitempty"`
	Backtrace []Frame `json:"backtrace,omitempty"`
}

// State is the verdict on one object.
type State string

// States of an object.
const (
	StateReachable State = "reachable"
	StateOrphan    State = "orphan"
	StateUnknown   State = "unknown"
	StateIgnored   State = "ignored" // not judged
)

// Reference is one word that refers to an object.
type Reference struct {
	// Class is what holds the word: "data", "module", "per-CPU", "pages",
	// "page descriptor", "stack", "register" or, not a root, "object".
	Class string `json:"class"`
	// From names it: a section, a task's stack, a vCPU, an object's address.
	From string `json:"from"`
	// Symbol is the variable, with its module; of a stack the function.
	Symbol string `json:"symbol,omitempty"`
	Offset uint64 `json:"offset"`         // in the variable or object, bytes
	Type   string `json:"type,omitempty"` // of the variable or object
	Member string `json:"member,omitempty"`
	// Address is where the word is, zero for registers, Value what it is.
	Address Hex `json:"address,omitempty"`
	Value   Hex `json:"value"`
	// NoPointer says that by its type the word is no pointer.
	NoPointer bool `json:"no_pointer,omitempty"`
	// To is the object that it refers to, ToOffset where in it, in bytes.
	To       Hex    `json:"to"`
	ToOffset uint64 `json:"to_offset,omitempty"`
	ToMember string `json:"to_member,omitempty"`
}

// Value is a member of an object, or a word of one whose type is not known.
type Value struct {
	Offset uint64 `json:"offset"`
	Member string `json:"member,omitempty"`
	Type   string `json:"type,omitempty"`
	Value  Hex    `json:"value"`
	Target string `json:"target,omitempty"` // what a pointer points to
}

// writeExplanation writes e as text, each line behind "leakvisor: ". Errors stay
// in out.
func writeExplanation(out *bufio.Writer, e *Explanation) {
	line := func(format string, args ...any) {
		out.WriteString("leakvisor: ")
		fmt.Fprintf(out, format, args...)
		out.WriteByte('\n')
	}
	if !e.Found {
		line("explain %s, no such object", e.query())
		return
	}
	is := []string{fmt.Sprintf("%d bytes", e.Size), string(e.Kind)}
	if e.Cache != "" {
		is = append(is, "cache "+free(e.Cache))
	}
	if e.Type != "" {
		is = append(is, free(e.Type))
	}
	state := string(e.State)
	if e.State == StateOrphan {
		state = "an orphan"
	}
	if e.Rule != "" {
		state = "hidden by " + free(e.Rule)
	}
	line("explain %s, object %s (%s) is %s", e.query(), e.Address, strings.Join(is, ", "), state)
	for i := range e.Path {
		if e.PathOmitted > 0 && i == len(e.Path)/2 {
			line("  and so on, %d times", e.PathOmitted)
		}
		line("  %s", e.Path[i].text())
	}
	for _, w := range e.Weak {
		line("  weak, %s", free(w))
	}
	for i := range e.Referrers {
		line("  referred to by %s", e.Referrers[i].text())
	}
	if more := e.ReferrerCount - len(e.Referrers); more > 0 {
		line("  and by %d others", more)
	}
	for i := range e.Content {
		v := &e.Content[i]
		s := fmt.Sprintf("offset %d", v.Offset)
		if v.Member != "" {
			s += " " + free(v.Member)
		}
		if v.Type != "" {
			s += " (" + free(v.Type) + ")"
		}
		s += " = " + v.Value.String()
		if v.Target != "" {
			s += ", " + free(v.Target)
		}
		line("  %s", s)
	}
	if len(e.Backtrace) > 0 && e.State != StateOrphan {
		const frames = 8
		names := make([]string, 0, frames)
		for i := range min(len(e.Backtrace), frames) {
			names = append(names, callerName(&e.Backtrace[i]))
		}
		line("  allocated in %s", strings.Join(names, " < "))
	}
}

// query is the query without a colon, which free would set apart.
func (e *Explanation) query() string { return free(strings.ReplaceAll(e.Query, ":", "=")) }

// text is a reference in one line.
func (r *Reference) text() string {
	s := free(r.From)
	switch r.Class {
	case "object", "register":
		s = r.Class + " " + s
	case "page descriptor":
		s = "descriptor of " + s
	}
	if r.Symbol != "" {
		s += ", " + free(r.Symbol)
	}
	if r.Class != "register" && r.Class != "stack" {
		s += fmt.Sprintf(" +%#x", r.Offset)
	}
	if r.Type != "" || r.Member != "" {
		words := []string{}
		for _, w := range []string{r.Type, r.Member} {
			if w != "" {
				words = append(words, free(w))
			}
		}
		s += " (" + strings.Join(words, ", ") + ")"
	}
	s += fmt.Sprintf(" -> %s", r.To)
	if r.ToOffset > 0 {
		s += fmt.Sprintf(" +%#x", r.ToOffset)
		if r.ToMember != "" {
			s += " (" + free(r.ToMember) + ")"
		}
	}
	if r.NoPointer {
		s += ", no pointer by type"
	}
	return s
}

// WriteObject writes what a report has about the object at an address: its
// explanations, and of an orphan all that is of the same leak. It says whether
// there was anything.
func WriteObject(out *bufio.Writer, r *Report, address uint64) bool {
	r = r.normalized()
	found := false
	for i := range r.Explanations {
		if e := &r.Explanations[i]; e.Found && inside(address, e.Address, e.Size) {
			writeExplanation(out, e)
			found = true
		}
	}
	root := Hex(0)
	for i := range r.Orphans {
		o := &r.Orphans[i]
		if !inside(address, o.Address, o.Size) {
			continue
		}
		if root = o.Root; root == 0 {
			root = o.Address
		}
	}
	if root == 0 {
		return found
	}
	for i := range r.Orphans {
		if o := &r.Orphans[i]; o.Address == root || o.Root == root {
			b := Style{}.appendRecord(nil, o)
			_, _ = out.Write(o.appendMore(b)) // the caller sees it at Flush
		}
	}
	return true
}

func inside(a uint64, start Hex, size uint64) bool { return a-uint64(start) < max(size, 1) }
