package annotations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) []Rule {
	t.Helper()
	rules, err := Parse("test.rules", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestLinux(t *testing.T) {
	rules, err := Linux()
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) == 0 {
		t.Fatal("no rules")
	}
	seen := map[string]string{}
	for i := range rules {
		r := &rules[i]
		if r.Action == Suppress {
			t.Errorf("%s: suppress is for users", r.Pos())
		}
		if r.Reason == "" || !strings.HasSuffix(r.Reason, ".") && !strings.HasSuffix(r.Reason, ").") {
			t.Errorf("%s: no sentence as its reason: %q", r.Pos(), r.Reason)
		}
		file, versions, ok := strings.Cut(r.Source, ", ")
		if !ok || !strings.HasSuffix(file, ".c") && !strings.HasSuffix(file, ".h") || versions == "" {
			t.Errorf("%s: source %q is not FILE, VERSIONS", r.Pos(), r.Source)
		}
		if len(r.Caller)+len(r.Cache) == 0 {
			t.Errorf("%s: a mark is made at a call site or for a cache", r.Pos())
		}
		for _, l := range r.lists() {
			for _, p := range *l.list {
				if !p.Literal() {
					t.Errorf("%s: %s %s is a pattern: a mark is in one function", r.Pos(), l.key, p)
				}
			}
		}
		for _, c := range r.Caller {
			if at, ok := seen[string(c)]; ok {
				t.Errorf("%s: %s has a rule at %s", r.Pos(), c, at)
			}
			seen[string(c)] = r.Pos()
		}
	}
}

func TestParse(t *testing.T) {
	rules := parse(t, `
# a comment
suppress function leaky_*	 other.isra.0
	module leaky
	# a comment in a rule

	kind slab vmalloc
	size 64 100-128
	reason Known since
	reason last year.

not_leak caller foo.constprop.0
    through bar_noprof
    without baz
scan_area cache_in area_cache
	from vmap_area.list.next
ignore
	cache kmalloc-*`)
	want := []Rule{
		{
			Action: Suppress, Function: []Pattern{"leaky_*", "other"}, Module: []Pattern{"leaky"}, Kind: []Pattern{"slab", "vmalloc"},
			Size: []SizeRange{{64, 64}, {100, 128}}, Reason: "Known since last year.", File: "test.rules", Line: 3,
		},
		{Action: NotLeak, Caller: []Pattern{"foo"}, Through: []Pattern{"bar"}, Without: []Pattern{"baz"}, File: "test.rules", Line: 12},
		{Action: ScanArea, CacheIn: []Pattern{"area_cache"}, From: "vmap_area.list.next", File: "test.rules", Line: 15},
		{Action: Ignore, Cache: []Pattern{"kmalloc-*"}, File: "test.rules", Line: 17},
	}
	if got, want := fmt.Sprintf("%+v", rules), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := rules[0].String(), "suppress function leaky_* other module leaky kind slab vmalloc size 64 100-128"; got != want {
		t.Errorf("as text %q, want %q", got, want)
	}
	if rules := parse(t, "\n# nothing\n"); len(rules) != 0 {
		t.Errorf("rules in an empty file: %v", rules)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"leak:foo":                          `f:1: unknown action "leak:foo"`,
		"# c\n\tmodule m":                   "f:2: an indented line continues a rule",
		"suppress":                          "f:1: a rule without a condition",
		"suppress\n\treason r\n\nignore":    "f:1: a rule without a condition",
		"suppress function":                 `f:1: "function" without a value`,
		"suppress function a\n\tfunction b": `f:2: a second "function"`,
		"suppress func a":                   `f:1: unknown condition "func"`,
		"suppress size 1-":                  `f:1: "1-" is not a size`,
		"suppress size 9-1":                 `f:1: "9-1" is not a size`,
		"suppress size -1":                  `f:1: "-1" is not a size`,
		"suppress size 0x10":                `f:1: "0x10" is not a size`,
		"suppress kind slap":                `f:1: unknown kind "slap"`,
		"not_leak function a\n\tthrough b":  `f:1: "through" and "without" need "caller"`,
		"not_leak caller a\n\twithout b*":   `f:1: "b*": "without" and "cache_in" take names only`,
		"scan_area caller a":                `f:1: "scan_area", and nothing else, needs "from"`,
		"scan_area caller a\n\tfrom b":      `f:1: "scan_area", and nothing else, needs "from"`,
		"suppress function a\n\tfrom b.c":   `f:1: "scan_area", and nothing else, needs "from"`,
		"suppress function \xff":            "f:1: not UTF-8",
		"suppress function" + strings.Repeat(" a", maxWords+1): "f:1: more than 256 words",
		strings.Repeat("suppress function a\n", MaxRules+1):    "f:10001: more than 10000 rules",
	} {
		_, err := Parse("f", strings.NewReader(text))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{strings.Repeat("#", MaxFile+1), strings.Repeat("#\n", MaxFile/2+1)} {
		if _, err := Parse("f", strings.NewReader(text)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
	if _, err := Parse("f", strings.NewReader(strings.Repeat("#", MaxFile))); err != nil {
		t.Errorf("as large as allowed: %v", err)
	}
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"foo", "foo", true}, {"foo", "foo1", false}, {"foo", "", false},
		{"*", "", true}, {"*", "x", true}, {"foo*", "foo", true}, {"foo*", "fo", false},
		{"*_open", "leaky_open", true}, {"*_open", "leaky_opens", false},
		{"a*b*c", "abc", true}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "acb", false},
		{"a*a", "a", false}, {"a**a", "aa", true}, {"*a*", "bab", true}, {"*ab*ab", "ab", false},
	} {
		if got := Pattern(c.pattern).Match(c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
}

// frames makes a backtrace of "function" and "function[module]".
func frames(names ...string) []Frame {
	var out []Frame
	for _, n := range names {
		f, m, _ := strings.Cut(n, "[")
		out = append(out, Frame{f, strings.TrimSuffix(m, "]")})
	}
	return out
}

func TestTrace(t *testing.T) {
	allocators := []string{"__kmalloc", "kmemdup_nul"}
	rule := "not_leak caller f\n\tthrough g h\n\twithout inl\n"
	for _, c := range []struct {
		name, rule string
		frames     []Frame
		inlined    map[int]string
		want       bool
	}{
		{"direct", rule, frames("__kmalloc", "f", "x"), nil, true},
		{"through all", rule, frames("__kmalloc", "kmemdup_nul", "h", "g", "f"), nil, true},
		{"through one", rule, frames("__kmalloc", "g", "f"), nil, true},
		{"clones", rule, frames("__kmalloc_noprof", "g.isra.0", "f.part.0.cold"), nil, true},
		{"something between", rule, frames("__kmalloc", "g", "x", "f"), nil, false},
		{"f called elsewhere", rule, frames("__kmalloc", "x", "g"), nil, false},
		{"only through", rule, frames("__kmalloc", "g", "h"), nil, false},
		{"unknown between", rule, frames("__kmalloc", "", "f"), nil, false},
		{"empty", rule, nil, nil, false},
		{"inlined in f", rule, frames("__kmalloc", "g", "f"), map[int]string{2: "inl"}, false},
		{"inlined in g", rule, frames("__kmalloc", "g", "f"), map[int]string{1: "inl"}, false},
		{"other inlined", rule, frames("__kmalloc", "g", "f"), map[int]string{1: "lni"}, true},
		{"inlined beyond", rule, frames("__kmalloc", "f", "x"), map[int]string{2: "inl"}, true},
		{"allocator as caller", "not_leak caller kmemdup_nul", frames("__kmalloc", "kmemdup_nul", "x"), nil, true},
		{"anywhere", "suppress function x*", frames("__kmalloc", "a", "xyz.isra.0"), nil, true},
		{"nowhere", "suppress function x*", frames("__kmalloc", "a", "", "wxyz"), nil, false},
		{"all matches no unknown", "suppress function *", frames("", ""), nil, false},
		{"module", "suppress module leaky", frames("__kmalloc", "a[leaky]"), nil, true},
		{"other module", "suppress module leaky", frames("__kmalloc", "leaky", "a[leak]"), nil, false},
		{"all modules, not the kernel", "suppress module *", frames("__kmalloc", "a"), nil, false},
		{"one of two conditions", "suppress function a\n\tmodule leaky", frames("__kmalloc", "a"), nil, false},
		{"literal caller, pattern function", "suppress caller a\n\tfunction x*", frames("__kmalloc", "a", "xx"), nil, true},
		{"pattern caller, literal function", "suppress caller a*\n\tfunction x", frames("__kmalloc", "ab", "x"), nil, true},
		{"no condition on it", "suppress size 8", nil, nil, true},
	} {
		m := NewMatcher(parse(t, c.rule), allocators)
		inlined := func(i int, f string) bool { return c.inlined[i] == f }
		if got := len(m.Trace(c.frames, inlined)) == 1; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if len(c.inlined) == 0 && len(m.Trace(c.frames, nil)) == 1 != c.want {
			t.Errorf("%s: not %v without knowledge of inlined functions", c.name, c.want)
		}
	}
}

func TestTraceOrder(t *testing.T) {
	m := NewMatcher(parse(t, "suppress function z*\nsuppress function b a\nignore function a\nsuppress size 1\nsuppress function c\n"), nil)
	if got := m.Trace(frames("a", "b", "zz", "a"), nil); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("%v", got)
	}
}

func TestHolds(t *testing.T) {
	o := &Object{Kind: "slab", Cache: "kmalloc-64", Size: 64, CacheIn: func(v string) bool { return v == "the_cache" }, Type: func() string { return "inode" }}
	for text, want := range map[string]bool{
		"suppress kind slab": true, "suppress kind percpu vmalloc": false,
		"suppress type inode": true, "suppress type in* dentry": true, "suppress type struct": false,
		"suppress cache kmalloc-*": true, "suppress cache kmalloc": false,
		"suppress size 64": true, "suppress size 8 60-70": true, "suppress size 65-99 0-63": false,
		"suppress cache_in the_cache": true, "suppress cache_in a_cache": false,
		"suppress kind slab\n\tsize 1": false, "suppress function f": true,
	} {
		m := NewMatcher(parse(t, text), nil)
		if got := m.Holds(0, o); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if m := NewMatcher(parse(t, "suppress cache_in x"), nil); m.Holds(0, &Object{}) {
		t.Error("a cache known to nobody is in x")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(linuxRules))
	f.Add("suppress function leaky_* other\n\tmodule leaky\n\tkind slab\n\tsize 1-2 4\n\treason r\n")
	f.Add("scan_area caller a.b\n\twithout c\n\tfrom a.b\n")
	f.Add("# c\n\n\tmodule m\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse("f", strings.NewReader(text))
		var syntax *SyntaxError
		switch {
		case errors.As(err, &syntax):
			if n := 1 + strings.Count(text, "\n"); syntax.Line < 1 || syntax.Line > n {
				t.Fatalf("an error in line %d of %d: %v", syntax.Line, n, err)
			}
			return
		case err != nil:
			return
		}
		// What is written as text is read as the same.
		var b strings.Builder
		for i := range rules {
			r := &rules[i]
			b.WriteString(r.Action.String())
			for _, l := range r.lists() {
				words(&b, "\n\t"+l.key, *l.list)
			}
			words(&b, "\n\tsize", r.Size)
			if r.From != "" {
				b.WriteString("\n\tfrom " + r.From)
			}
			b.WriteString("\n")
		}
		again, err := Parse("f", strings.NewReader(b.String()))
		if err != nil {
			if b.Len() > MaxFile {
				return
			}
			t.Fatalf("%v\n%s", err, &b)
		}
		m := NewMatcher(again, []string{"kmalloc"})
		o := &Object{Kind: "slab", Cache: "c", Size: 2}
		for i := range again {
			if again[i].String() != rules[i].String() {
				t.Fatalf("%q came back as %q", &rules[i], &again[i])
			}
			m.Holds(i, o)
		}
		for _, i := range m.Trace(frames("kmalloc", "a.part.0", "leaky_open[leaky]"), func(i int, f string) bool { return i == 1 && f == "c" }) {
			if i < 0 || i >= len(again) {
				t.Fatal("a rule that is not there")
			}
		}
	})
}
