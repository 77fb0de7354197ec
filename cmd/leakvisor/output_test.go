package main

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func writeReport(t *testing.T, name, text string) {
	t.Helper()
	o, err := openOutput(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(o, text); err != nil {
		t.Fatal(err)
	}
	if err := o.commit(); err != nil {
		t.Fatal(err)
	}
}

func TestOutputFile(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "report"), filepath.Join(dir, "link")
	writeReport(t, file, "first")
	if err := os.Symlink("report", link); err != nil {
		t.Fatal(err)
	}
	writeReport(t, link, "second")
	if b, err := os.ReadFile(file); err != nil || string(b) != "second" {
		t.Errorf("%q, %v", b, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", info, err)
	}
	writeReport(t, filepath.Join(dir, "none"), "")
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 2 {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := openOutput(dir); err == nil {
		t.Error("a folder was opened")
	}
}

// TestOutputPipe: what is no file is written to, and not replaced.
func TestOutputPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
	}()
	writeReport(t, name, "text")
	if s := <-got; s != "text" {
		t.Errorf("%q", s)
	}
	if info, err := os.Lstat(name); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the pipe is %v, %v", info, err)
	}
}
