package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/leakvisor/leakvisor/report"
)

func TestUsageErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	run1 := []string{"run", "-q", "--kernel", file, "--vmlinux", file}
	for name, args := range map[string][]string{
		"no command":        {},
		"unknown command":   {"judge"},
		"no kernel":         {"run"},
		"missing file":      {"run", "--kernel", file + "x", "--vmlinux", file},
		"a folder":          {"run", "--kernel", filepath.Dir(file), "--vmlinux", file},
		"no folder":         append(run1, "--module-symbols", file),
		"bad size":          append(run1, "--memory", "lots"),
		"bad vCPUs":         append(run1, "--smp", "0"),
		"bad class":         append(run1, "--track", "stack"),
		"several in one":    append(run1, "--format", "sarif", "--scan-every", "1s"),
		"bad pattern":       append(run1, "--scan-on", "("),
		"bad question":      append(run1, "--explain", "pid:1"),
		"bad address":       {"explain", "xyz", file},
		"not a report":      {"explain", "0x10", file},
		"nothing to scan":   append(run1, "--scan-at", "never"),
		"not an ELF file":   run1,
		"unwritable output": append(run1, "--output", filepath.Join(file, "x")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LEAKVISOR_CACHE", t.TempDir())
			if got := run(args); got != exitUsage {
				t.Errorf("exit status %d, want %d", got, exitUsage)
			}
		})
	}
	for _, args := range [][]string{{"--help"}, {"version"}, {"run", "--help"}} {
		if got := run(args); got != exitClean {
			t.Errorf("%v: exit status %d", args, got)
		}
	}
}

// TestDoctorWithoutTools: where nothing is installed, doctor says what to do.
func TestDoctorWithoutTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("LEAKVISOR_CACHE", t.TempDir())
	if got := run([]string{"doctor"}); got != exitUsage {
		t.Errorf("exit status %d, want %d", got, exitUsage)
	}
}

func TestVerdictStatus(t *testing.T) {
	for v, want := range map[report.Verdict]int{report.Clean: 0, report.Leaks: 1, report.Unknown: 4, "": 4} {
		if got := verdictStatus(v); got != want {
			t.Errorf("%q: %d, want %d", v, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]size{"512M": 512 << 20, "2G": 2 << 30, "1t": 1 << 40, "64": 64 << 20, "4096K": 4 << 20} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "M", "0M", "-1G", "1.5G", "99999999999T", "1X"} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted as %d", text, s)
		}
	}
}

func TestConsoleWatch(t *testing.T) {
	var sink bytes.Buffer
	c := newConsoleWatch(&sink, regexp.MustCompile(`^done \d+$`))
	if c.tail() == "" {
		t.Error("no word about an empty console")
	}
	text := "boot\r\ndone 7\r\n" + strings.Repeat("x", 3*maxLine) + "\ndone\nend"
	for i := 0; i < len(text); i += 5 { // in pieces, as it comes
		if _, err := c.Write([]byte(text[i:min(i+5, len(text))])); err != nil {
			t.Fatal(err)
		}
	}
	if sink.String() != text {
		t.Error("the console was not passed on whole")
	}
	if len(c.matched) != 1 || <-c.matched != "done 7" {
		t.Error("the line did not match once")
	}
	tail := c.tail()
	if !strings.Contains(tail, "\n  boot\n  done 7\n") || len(tail) > 2*maxLine {
		t.Errorf("tail %.100q… of %d bytes", tail, len(tail))
	}
}

func TestOutput(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "report")
	o, err := openOutput(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("the report is there before it is complete")
	}
	if err := o.commit(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	empty, err := openOutput(filepath.Join(dir, "empty"))
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.commit(); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

// TestRepeatedFlags: the last counts.
func TestRepeatedFlags(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	for _, name := range []string{first, second} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c cli
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"run"}
	for _, name := range []string{first, second} {
		args = append(args, "--kernel", name, "--vmlinux", name, "--initrd", name, "--memory", fmt.Sprint(len(name)), "--module-symbols", filepath.Dir(name), "--suppress", name)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	if r := &c.Run; r.Kernel != file(second) || r.VMLinux != file(second) || r.Initrd != file(second) || r.Memory != size(len(second))<<20 || len(r.Suppress) != 2 {
		t.Errorf("%+v", r)
	}
}
