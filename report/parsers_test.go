package report

import (
	"regexp"
	"strings"
	"testing"
)

// The parsers that exist for kmemleak's text, as far as they look at it. What
// is restated here was read in:
//
//	syzkaller  pkg/report/linux.go and report.go (2025: the backtrace's
//	           heading with a crc), executor/common_linux.h (the title line)
//	nipa       contest/remote/lib/crash.py (2025)
//	blktests   check, _check_kmemleak (2026), and xfstests common/rc, the
//	           same: any text is a failure, and is kept for people to read

var (
	syzkallerTitle = regexp.MustCompile(`BUG: memory leak`)
	// A stack begins behind this; the second form decides whether a report
	// is complete.
	syzkallerStart    = regexp.MustCompile(`backtrace(?: \(crc [[:xdigit:]]*\))?:`)
	syzkallerComplete = regexp.MustCompile(`[^k] backtrace(?: \(crc [[:xdigit:]]*\))?:`)
	syzkallerFrame    = regexp.MustCompile(`^ *(?:\[\<?(?:0x)?[0-9a-f]+\>?\] ){0,2}([a-zA-Z0-9_]+)(?:\.|\+)`)
	// Of the functions that are never blamed, the ones to do with memory.
	syzkallerSkip = regexp.MustCompile(`kmemleak|mmap|kmem|slab|alloc|create_object|idr_get|list_lru_init|` +
		`kasprintf|kvasprintf|pcpu_create|strdup|strndup|memdup`)
	// What begins a report of something, anywhere in a line.
	syzkallerOops = regexp.MustCompile(`BUG:|WARNING:|INFO:|Unable to handle kernel|general protection fault|stack segment: |` +
		`Kernel panic|kernel BUG|Kernel BUG|BUG kmalloc-|divide error:|invalid opcode:|UBSAN:|Booting the kernel\.|` +
		`unregister_netdevice: waiting for|trusty: panic|Out of memory:|Kernel oops|Internal error:|Unhandled fault:|` +
		`Alignment trap:|SYZFAIL:|SYZFATAL:|panic:`)
)

// syzkaller returns the title of each report in a text, "" for a corrupted
// one.
func syzkaller(t *testing.T, text string) (titles []string) {
	lines := strings.Split(text, "\n")
	var starts []int
	for i, line := range lines {
		if !syzkallerOops.MatchString(line) {
			continue
		}
		if !syzkallerTitle.MatchString(line) {
			t.Errorf("taken for a report of something else: %q", line)
		}
		starts = append(starts, i)
	}
	starts = append(starts, len(lines))
	for n, start := range starts[:len(starts)-1] {
		report := lines[start:starts[n+1]]
		title, stack := "", 0
		for i, line := range report {
			switch m := syzkallerFrame.FindStringSubmatch(line); {
			case stack == 0 && syzkallerStart.MatchString(line):
				if !syzkallerComplete.MatchString(line) || len(report)-i < 4 {
					t.Logf("corrupted: %q", report)
				} else {
					stack = i
				}
			case stack != 0 && title == "" && m != nil && !syzkallerSkip.MatchString(m[1]):
				title = "memory leak in " + m[1]
			}
		}
		titles = append(titles, title)
	}
	return titles
}

func TestSyzkallerReadsIt(t *testing.T) {
	for name, style := range map[string]Style{"newest": {}, "oldest": {NoType: true, Age: true, NoCRC: true, Pointers: 16}} {
		got := syzkaller(t, text(t, sampleLeaks(), &TextOptions{Style: style}))
		want := []string{
			"",                          // no backtrace
			"",                          // no symbol but allocators': the same of the kernel's own text
			"memory leak in leaky_open", // with what hangs on it
			"",                          // one frame only
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for name, r := range map[string]*Report{"clean": sampleClean(), "unknown": sampleUnknown()} {
		if got := syzkaller(t, text(t, r, nil)); len(got) != len(r.Orphans) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// nipa returns the fingerprint of each crash in a text: its first functions.
func nipa(text string) (prints []string) {
	frame := regexp.MustCompile(`.*(  |0:|>\] )([a-z0-9_]+)\+0x[0-9a-f]+/0x[0-9a-f]+.*`)
	if !strings.Contains(text, "unreferenced object 0x") {
		return nil
	}
	in := false
	var found []string
	end := func() {
		if in {
			prints = append(prints, strings.Join(found[:min(5, len(found))], ":"))
		}
		in, found = false, nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if in && (strings.HasSuffix(line, "] ") || strings.Contains(line, "] ---[ end trace ")) {
			end()
		} else if !in {
			in = strings.HasPrefix(line, "unreferenced object 0x") || strings.Contains(line, "] Hardware name: ")
		}
		if m := frame.FindStringSubmatch(line); in && m != nil {
			found = append(found, m[2])
		}
	}
	end()
	return prints
}

func TestNipaReadsIt(t *testing.T) {
	r := sampleLeaks()
	r.Orphans = r.Orphans[:1]
	for name, style := range map[string]Style{"newest": {}, "oldest": {NoType: true, Age: true, NoCRC: true, Pointers: 16}} {
		got := nipa(text(t, r, &TextOptions{Style: style}))
		if len(got) != 1 || got[0] != "kmalloc_trace:do_syscall_64" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if got := nipa(text(t, sampleClean(), nil)); got != nil {
		t.Errorf("clean: got %q", got)
	}
}

// Where any text is a failure, the records alone are what to give.
func TestRecordsStandInForTheFile(t *testing.T) {
	opts := &TextOptions{RecordsOnly: true}
	if got := text(t, sampleClean(), opts); got != "" {
		t.Errorf("clean: %q", got)
	}
	got := text(t, sampleLeaks(), opts)
	if !strings.HasPrefix(got, "unreferenced object 0x") || strings.Contains(got, "BUG:") || strings.Contains(got, "\n\n") {
		t.Errorf("leaks:\n%s", got)
	}
}
