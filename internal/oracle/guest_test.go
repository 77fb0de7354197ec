package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const consoleText = `[    6.100000] oracle: scan 1 begins
[    6.350000] oracle: scan 1 ends
[   12.400000] oracle: scan 2 begins
[   12.500000] oracle: scan 2 ends
oracle: report begins
unreferenced object 0xffff888001234560 (size 64):
  comm "insmod", pid 71, jiffies 4294669290 (age 12.345s)
  hex dump (first 4 bytes):
    6b 6b 6b 6b                                      kkkk
  backtrace:
    [<ffffffff81234567>] kmalloc_trace+0x17/0x20
oracle: report ends
`

func TestReadConsole(t *testing.T) {
	for _, text := range []string{consoleText, strings.ReplaceAll(consoleText, "\n", "\r\n")} {
		theirs, took, err := readConsole([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(theirs) != 1 || theirs[0].Address != 0xffff888001234560 {
			t.Errorf("reported: %+v", theirs)
		}
		for i, want := range []time.Duration{250 * time.Millisecond, 100 * time.Millisecond} {
			if took[i].Round(time.Microsecond) != want {
				t.Errorf("scan %d took %v, want %v", i+1, took[i], want)
			}
		}
	}
	for name, cut := range map[string]string{"the end": "oracle: report ends", "a scan's end": "scan 2 ends", "a frame": "kmalloc_trace+0x17/0x20"} {
		if _, _, err := readConsole([]byte(strings.Replace(consoleText, cut, "", 1))); err == nil {
			t.Errorf("without %s there is no error", name)
		}
	}
}

func TestWatcher(t *testing.T) {
	w := &watcher{now: make(chan string, 1)}
	for _, part := range []string{"guest: up\r\noracle: pau", "se now", "\r\n" + pauseNow + "\n"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-w.now; got != pauseNow {
		t.Errorf("%q", got)
	}
	if len(w.now) != 0 {
		t.Error("asked twice")
	}
}

func TestSummary(t *testing.T) {
	made := func(pause time.Duration, theirs ...difference) *result {
		return &result{name: "some", pause: pause, took: []time.Duration{90 * time.Millisecond, 110 * time.Millisecond}, compared: []*comparison{{how: "somehow", theirs: theirs}}}
	}
	for _, c := range []struct {
		results []*result
		ok      bool
		last    string
	}{
		{[]*result{made(8 * time.Millisecond)}, true, "median of 1 runs: 0.080 (goal: at most 0.10)"},
		{[]*result{made(12 * time.Millisecond)}, false, "median of 1 runs: 0.120 (goal: at most 0.10)"},
		{[]*result{made(time.Second), made(time.Millisecond), made(2 * time.Millisecond)}, true, "median of 3 runs: 0.020 (goal: at most 0.10)"},
		{[]*result{made(time.Millisecond, difference{right: true})}, true, ""},
		{[]*result{made(time.Millisecond, difference{})}, false, ""},
	} {
		var out strings.Builder
		if ok := summary(&out, c.results); ok != c.ok || !strings.HasSuffix(out.String(), c.last+"\n") && c.last != "" {
			t.Errorf("%v, %s", ok, out.String())
		}
	}
}

func TestDataSymbols(t *testing.T) {
	d := &dataSymbols{}
	if _, ok := d.name(0x1000); ok {
		t.Error("a name without symbols")
	}
}

func TestScenarios(t *testing.T) {
	names := []string{}
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	for _, want := range []string{"boot", "kmemleak-test", "ground truth"} {
		if !slices.Contains(names, want) {
			t.Errorf("no scenario %q", want)
		}
	}
}
