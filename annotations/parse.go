package annotations

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a file of rules.
const (
	MaxFile  = 1 << 20 // bytes
	MaxRules = 10000
	maxWords = 256 // in one condition
)

// kinds are the allocators that can be tracked.
var kinds = map[string]bool{"slab": true, "vmalloc": true, "percpu": true, "pages": true}

// SyntaxError says what is wrong with a file of rules, and where.
type SyntaxError struct {
	File string
	Line int
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// ErrTooLarge is wrapped when a file is larger than MaxFile.
var ErrTooLarge = errors.New("too large for a file of rules")

//go:embed linux.rules
var linuxRules []byte

// Linux returns the marks in the source of Linux.
func Linux() ([]Rule, error) { return Parse("linux.rules", bytes.NewReader(linuxRules)) }

// Parse reads a file of rules; name is for errors and positions. It errs
// with a SyntaxError, ErrTooLarge, or r's error.
func Parse(name string, r io.Reader) ([]Rule, error) {
	l := &io.LimitedReader{R: r, N: MaxFile + 1}
	p := parser{file: name}
	lines := bufio.NewScanner(l)
	lines.Buffer(nil, MaxFile+1)
	for lines.Scan() {
		p.line++
		if err := p.add(lines.Text()); err != nil {
			return nil, err
		}
	}
	switch err := lines.Err(); {
	case l.N <= 0:
		return nil, fmt.Errorf("%s: %w: over %d bytes", name, ErrTooLarge, MaxFile)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.rules, nil
}

type parser struct {
	file  string
	line  int
	rules []Rule
	seen  map[string]bool // keys of the latest rule
}

func (p *parser) errorf(line int, format string, args ...any) error {
	return &SyntaxError{p.file, line, fmt.Sprintf(format, args...)}
}

// add takes one line: a rule's first begins with its action, its others with
// a blank.
func (p *parser) add(s string) error {
	if !utf8.ValidString(s) {
		return p.errorf(p.line, "not UTF-8 text")
	}
	text := strings.TrimSpace(s)
	if text == "" || text[0] == '#' {
		return nil
	}
	if s[0] == ' ' || s[0] == '\t' {
		if p.seen == nil {
			return p.errorf(p.line, "an indented line continues a rule, but there is none before")
		}
		return p.condition(text)
	}
	if err := p.finish(); err != nil {
		return err
	}
	if len(p.rules) == MaxRules {
		return p.errorf(p.line, "more than %d rules", MaxRules)
	}
	word, rest := cut(text)
	r := Rule{File: p.file, Line: p.line}
	for a, name := range actionNames {
		if a > 0 && word == name {
			r.Action = Action(a)
		}
	}
	if r.Action == 0 {
		return p.errorf(p.line, "unknown action %.40q: a rule begins with suppress, not_leak, ignore, no_scan or scan_area", word)
	}
	p.rules = append(p.rules, r)
	p.seen = map[string]bool{}
	if rest == "" {
		return nil
	}
	return p.condition(rest)
}

// condition takes "key words..." for the latest rule.
func (p *parser) condition(text string) error {
	key, rest := cut(text)
	r := &p.rules[len(p.rules)-1]
	if rest == "" {
		return p.errorf(p.line, "%.40q without a value", key)
	}
	if key != "reason" && p.seen[key] {
		return p.errorf(p.line, "a second %.40q in one rule", key)
	}
	p.seen[key] = true
	switch key {
	case "reason":
		if r.Reason != "" {
			r.Reason += " "
		}
		r.Reason += rest
		return nil
	case "source":
		r.Source = rest
		return nil
	case "from":
		r.From = rest
		return nil
	}
	fields := strings.Fields(rest)
	if len(fields) > maxWords {
		return p.errorf(p.line, "more than %d words behind %q", maxWords, key)
	}
	if key == "size" {
		for _, f := range fields {
			s, err := parseSize(f)
			if err != nil {
				return p.errorf(p.line, "%v", err)
			}
			r.Size = append(r.Size, s)
		}
		return nil
	}
	for _, l := range r.lists() {
		if l.key == key {
			for _, f := range fields {
				if key == "kind" && !kinds[f] {
					return p.errorf(p.line, "unknown kind %.40q: there are slab, vmalloc, percpu and pages", f)
				}
				*l.list = append(*l.list, pattern(key, f))
			}
			return nil
		}
	}
	return p.errorf(p.line, "unknown condition %.40q: there are function, caller, through, without, module, cache, cache_in, kind, type, size, from, reason, source", key)
}

// pattern makes a pattern of a word. What a compiler appended to a function's
// name, as a report prints it, is cut off as it is in backtraces.
func pattern(key, word string) Pattern {
	switch key {
	case "function", "caller", "through", "without":
		if Pattern(word).Literal() {
			return Pattern(base(word))
		}
	}
	return Pattern(word)
}

// finish checks the latest rule.
func (p *parser) finish() error {
	if len(p.rules) == 0 {
		return nil
	}
	r := &p.rules[len(p.rules)-1]
	if len(r.Through)+len(r.Without) > 0 && len(r.Caller) == 0 {
		return p.errorf(r.Line, `"through" and "without" need "caller"`)
	}
	for _, w := range slices.Concat(r.Without, r.CacheIn) {
		if !w.Literal() {
			return p.errorf(r.Line, `%.40q: "without" and "cache_in" take names only, no patterns`, w)
		}
	}
	if typ, member, ok := strings.Cut(r.From, "."); (r.Action == ScanArea) != (ok && typ != "" && member != "") {
		return p.errorf(r.Line, `"scan_area", and nothing else, needs "from" with a structure and a member of it, such as vmap_area.rb_node`)
	}
	if len(r.Caller)+len(r.Function)+len(r.Module)+len(r.Cache)+len(r.CacheIn)+len(r.Kind)+len(r.Type)+len(r.Size) == 0 {
		return p.errorf(r.Line, "a rule without a condition would match everything")
	}
	return nil
}

// parseSize parses "64" or "64-128".
func parseSize(s string) (SizeRange, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	lo, err1 := strconv.ParseUint(from, 10, 64)
	hi, err2 := strconv.ParseUint(to, 10, 64)
	if err1 != nil || err2 != nil || lo > hi {
		return SizeRange{}, fmt.Errorf("%.40q is not a size in bytes such as 64 or 64-128", s)
	}
	return SizeRange{lo, hi}, nil
}

// cut splits off the first word.
func cut(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}
