package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

// The demo needs no other program, and neither QEMU nor KVM.
func TestDemo(t *testing.T) {
	var out, stderr bytes.Buffer
	cmd := exec.Command(os.Args[0], "demo")
	cmd.Env = []string{asLeakvisor + "=1", "PATH=", "LEAKVISOR_CACHE=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	cmd.Stdout, cmd.Stderr = &out, &stderr
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exitLeaks {
		t.Fatalf("exit status %d\n%s", code, stderr.String())
	}
	for _, want := range []string{"unreferenced object 0x", "plant_leak_nested+0x", `comm "leaker", pid`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, out.String())
		}
	}
	for _, want := range []string{"0 in flight, 0 lost", "verdict: leaks", "hypervisor: emu"} {
		if !strings.Contains(stderr.String()+out.String(), want) {
			t.Errorf("%q is not said:\n%s", want, stderr.String())
		}
	}
}

// The guest in the program is what its sources make.
func TestDemoGuestIsCurrent(t *testing.T) {
	gcc := guests.Tool(t, "tilegx.sh", "tilegx-linux-gcc")
	again := filepath.Join(t.TempDir(), "leaklab.elf.gz")
	cmd := exec.Command("../../scripts/demo/build.sh", again)
	cmd.Env = append(os.Environ(), "CC="+gcc)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, demoGuest) {
		t.Error("demo/leaklab.elf.gz is not up to date: run scripts/demo/build.sh")
	}
	if limit := 200 << 10; len(demoGuest) > limit {
		t.Errorf("demo/leaklab.elf.gz has %d bytes, more than %d", len(demoGuest), limit)
	}
}
