package annotations

import (
	"fmt"
	"strings"
)

// Action is what a rule does to the objects that it matches.
type Action uint8

// Actions.
const (
	// NotLeak objects are never reported, and what they refer to is not
	// either (kmemleak_not_leak).
	NotLeak Action = iota + 1
	// Ignore objects are not reported, but what nothing else refers to than
	// they is (kmemleak_ignore). An object to which something refers is
	// scanned, unlike in Linux: a mistaken match cannot cause a report.
	Ignore
	// NoScan objects hold no pointers worth following; they are judged like
	// any other (kmemleak_no_scan).
	NoScan
	// ScanArea objects are scanned from a member on, Rule.From
	// (kmemleak_scan_area to the object's end).
	ScanArea
	// Suppress is NotLeak at a user's wish.
	Suppress
)

var actionNames = [...]string{NotLeak: "not_leak", Ignore: "ignore", NoScan: "no_scan", ScanArea: "scan_area", Suppress: "suppress"}

// String returns the action's name in a file.
func (a Action) String() string {
	if a == 0 || int(a) >= len(actionNames) {
		return fmt.Sprintf("Action(%d)", uint8(a))
	}
	return actionNames[a]
}

// Rule is one rule. It matches an object for which each condition that is
// not empty holds; of a list, one element must match.
type Rule struct {
	Action Action
	// Caller is the function that wanted the object: the innermost one of
	// its backtrace that is neither an allocator nor in Through.
	Caller  []Pattern
	Through []Pattern
	// Without are functions whose inlined copies the allocation is not in,
	// up to the caller: what else is allocated on the same way.
	Without []Pattern
	// Function is anywhere in the backtrace.
	Function []Pattern
	// Module is that of some function in the backtrace.
	Module []Pattern
	// Cache is the slab cache.
	Cache []Pattern
	// CacheIn names variables of the kernel that point to the slab cache: a
	// cache may be merged with others and go by the name of any of them.
	CacheIn []Pattern
	// Kind is the allocator: slab, vmalloc, percpu, pages.
	Kind []Pattern
	// Type is the tag of the structure that the object is, where it is known.
	Type []Pattern
	Size []SizeRange // of the object

	// From is where a ScanArea begins: "vmap_area.rb_node" is that member of
	// that structure.
	From string

	Reason string
	// Source is where a mark of Linux is: file and versions.
	Source string
	// File and Line say where the rule is.
	File string
	Line int
}

// SizeRange is a range of sizes in bytes, both ends included.
type SizeRange struct{ Min, Max uint64 }

// String returns the range as it is written in a file.
func (s SizeRange) String() string {
	if s.Min == s.Max {
		return fmt.Sprint(s.Min)
	}
	return fmt.Sprintf("%d-%d", s.Min, s.Max)
}

// String returns the rule's action and conditions on one line, without
// Through and Without.
func (r *Rule) String() string {
	var b strings.Builder
	b.WriteString(r.Action.String())
	for _, l := range r.lists() {
		if l.key != "through" && l.key != "without" {
			words(&b, l.key, *l.list)
		}
	}
	words(&b, "size", r.Size)
	return b.String()
}

// Pos returns where the rule is, "file:line".
func (r *Rule) Pos() string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

// list is a condition on a name: its key in a file, and where its patterns
// are kept.
type list struct {
	key  string
	list *[]Pattern
}

func (r *Rule) lists() []list {
	return []list{
		{"caller", &r.Caller}, {"through", &r.Through}, {"without", &r.Without}, {"function", &r.Function},
		{"module", &r.Module}, {"cache", &r.Cache}, {"cache_in", &r.CacheIn}, {"kind", &r.Kind},
		{"type", &r.Type},
	}
}

func words[T any](b *strings.Builder, key string, list []T) {
	if len(list) == 0 {
		return
	}
	b.WriteString(" " + key)
	for _, w := range list {
		fmt.Fprintf(b, " %v", w)
	}
}

// Pattern is a name in which each "*" stands for any characters, none
// included.
type Pattern string

// Literal says whether the pattern is one name.
func (p Pattern) Literal() bool { return !strings.Contains(string(p), "*") }

// Match says whether the whole of name matches.
func (p Pattern) Match(name string) bool {
	first, rest, star := strings.Cut(string(p), "*")
	if !star {
		return name == first
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}

func anyMatch(list []Pattern, name string) bool {
	for _, p := range list {
		if p.Match(name) {
			return true
		}
	}
	return false
}
