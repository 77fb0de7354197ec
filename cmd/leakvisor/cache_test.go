package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

// TestFullDisk: with no room in the cache there is a clear error, and nothing
// is left in it.
func TestFullDisk(t *testing.T) {
	g := guests.Find(t, guests.Default)
	cache := t.TempDir()
	if err := syscall.Mount("tmpfs", cache, "tmpfs", 0, "size=64k"); err != nil {
		guests.Missing(t, "right to mount a small disk ("+err.Error()+")", "run the tests as root")
	}
	t.Cleanup(func() { _ = syscall.Unmount(cache, syscall.MNT_DETACH) })
	fill := filepath.Join(cache, "fill")
	if err := os.WriteFile(fill, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not as small as it should be")
	}
	r := guestRun{env: []string{"LEAKVISOR_CACHE=" + cache}}
	r.start(t, g, "true", nil)
	r.wait(t, exitUsage)
	if text := r.stderr.String(); !strings.Contains(text, "no space left") {
		t.Errorf("standard error:\n%s", text)
	}
	files, err := os.ReadDir(cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != filepath.Base(fill) {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}
