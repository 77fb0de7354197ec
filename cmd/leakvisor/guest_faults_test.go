package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

// TestStoppedReader: while nobody reads, the guest waits; nothing is lost.
func TestStoppedReader(t *testing.T) {
	g := guests.Find(t, guests.Default)
	var r guestRun
	r.start(t, g, "i=0; while [ $i -lt 100 ]; do cat /proc/self/maps > /dev/null; i=$((i+1)); done", nil)
	r.waitConsole(t, guests.MarkUp)
	pid := r.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.wait(t, exitClean)
	live(t, r.report(t))
}

// TestKilled: QEMU killed is a failed guest; Leakvisor killed takes QEMU with
// it.
func TestKilled(t *testing.T) {
	g := guests.Find(t, guests.Default)
	t.Run("qemu", func(t *testing.T) {
		var r guestRun
		r.start(t, g, "sleep 100", nil)
		r.waitConsole(t, guests.MarkUp)
		if err := syscall.Kill(r.qemuPID(t), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.wait(t, exitGuest)
	})
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			var r guestRun
			r.start(t, g, "sleep 100", nil)
			r.waitConsole(t, guests.MarkUp)
			r.qemuPID(t)
			if err := syscall.Kill(r.cmd.Process.Pid, sig); err != nil {
				t.Fatal(err)
			}
			_ = r.cmd.Wait()
			r.nothingLeft(t)
		})
	}
}

// TestFailedGuests: each way to fail has its exit status, and a scan before
// the end where there can be one.
func TestFailedGuests(t *testing.T) {
	g := guests.Find(t, guests.Default)
	crash := []guests.Built{guests.Module(t, g, "crash")}
	for _, c := range []struct {
		name, script string
		flags        []string
		status       int
		at           string // of the scan; empty for none
	}{
		{"panic", "insmod /modules/crash.ko how=panic", nil, exitGuest, "panic"},
		{"halt", "halt -f", nil, exitClean, "halt"},
		{"restart", "insmod /modules/crash.ko how=restart", nil, exitClean, "reboot"},
		{"hang", "insmod /modules/crash.ko how=hang", []string{"--timeout", "20s"}, exitGuest, "timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r guestRun
			r.start(t, g, c.script, crash, c.flags...)
			r.wait(t, c.status)
			if rep := r.report(t); rep.Scan.At != c.at {
				t.Errorf("scan at %q, want %q", rep.Scan.At, c.at)
			} else {
				live(t, rep)
			}
		})
	}
}

// copyVMLinux copies a guest's vmlinux, at most limit bytes of it.
func copyVMLinux(t *testing.T, g *guests.Guest, limit int64) string {
	t.Helper()
	in, err := os.Open(g.VMLinux)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "vmlinux"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, io.LimitReader(in, limit)); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

// TestWrongSymbols: symbols of another build are refused, as are damaged ones.
func TestWrongSymbols(t *testing.T) {
	g := guests.Find(t, guests.Default)
	t.Run("another build", func(t *testing.T) {
		r := guestRun{vmlinux: otherBuild(t, g)}
		r.start(t, g, "true", nil)
		r.wait(t, exitUsage)
		if text := r.stderr.String(); !strings.Contains(text, "build ID") {
			t.Errorf("standard error:\n%s", text)
		}
	})
	t.Run("truncated", func(t *testing.T) {
		r := guestRun{vmlinux: copyVMLinux(t, g, 50<<20)}
		r.start(t, g, "true", nil)
		r.wait(t, exitUsage)
		if text := r.stderr.String(); !strings.Contains(text, "truncated") {
			t.Errorf("standard error:\n%s", text)
		}
	})
}

// otherBuild returns a copy of the guest's vmlinux with another build ID.
func otherBuild(t *testing.T, g *guests.Guest) string {
	t.Helper()
	name := copyVMLinux(t, g, 1<<40)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at, err := buildIDOffset(name)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return name
}
