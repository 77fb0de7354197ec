package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/arch/x86"
	"github.com/leakvisor/leakvisor/hv"
)

// fakeCC writes a compiler, a shell script that finds its output in $out.
func fakeCC(t *testing.T, script string) string {
	path := filepath.Join(t.TempDir(), "cc")
	text := "#!/bin/sh\n[ \"$1\" = --version ] && { echo fake 1.0; exit 0; }\n" +
		"while [ $# -gt 0 ]; do [ \"$1\" = -o ] && out=$2; shift; done\n" + script + "\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBuildPlugin(t *testing.T) {
	if _, _, err := compiler(context.Background(), ""); err != nil {
		t.Skip("missing on this host: cc")
	}
	dir := filepath.Join(t.TempDir(), "deep", "cache, with a comma")
	// Several at once end with one file.
	var wg sync.WaitGroup
	paths := make([]string, 3)
	for i := range paths {
		wg.Go(func() {
			var err error
			if paths[i], err = buildPlugin(context.Background(), dir, ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || paths[0] != paths[1] || paths[1] != paths[2] {
		t.Fatalf("%v, %v, %v", paths, entries, err)
	}
	// What is there and whole is used, what is not is made again.
	before, _ := os.Stat(paths[0])
	if _, err := buildPlugin(context.Background(), dir, ""); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(paths[0]); !os.SameFile(before, after) {
		t.Error("the plugin was compiled again")
	}
	if err := os.Truncate(paths[0], before.Size()/2); err != nil {
		t.Fatal(err)
	}
	if _, err := buildPlugin(context.Background(), dir, ""); err != nil {
		t.Fatal(err)
	}
	if err := checkPlugin(paths[0]); err != nil {
		t.Errorf("a truncated plugin was kept: %v", err)
	}
}

func TestBuildPluginFails(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"error":    {"echo 'x.c:1: error: no space left on device' >&2; exit 1", "no space left"},
		"advice":   {"echo 'x.c:1: error: unknown option' >&2; exit 1", "apt-get install gcc"},
		"headers":  {"echo 'plugin.c:5:10: fatal error: errno.h: No such file or directory' >&2; exit 1", "libc6-dev"},
		"nothing":  {"exit 0", "incomplete"},
		"truncate": {`printf '\177ELF\002\001\001' > "$out"`, "incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := buildPlugin(context.Background(), dir, fakeCC(t, c.script))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
	t.Run("no compiler", func(t *testing.T) {
		_, err := buildPlugin(context.Background(), t.TempDir(), "no-such-compiler")
		var missing *MissingError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), "apt-get install gcc") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := buildPlugin(ctx, t.TempDir(), fakeCC(t, "exec sleep 10")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cache", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := buildPlugin(context.Background(), filepath.Join(file, "cache"), fakeCC(t, "exit 0")); err == nil {
			t.Error("a cache below a file was accepted")
		}
	})
}

func TestRemoveStale(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, tmpPrefix+"old"), filepath.Join(dir, tmpPrefix+"new")
	for _, d := range []string{old, fresh} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * staleBuild)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	removeStale(dir)
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || entries[0].Name() != filepath.Base(fresh) {
		t.Errorf("left: %v", entries)
	}
}

func TestStartFails(t *testing.T) {
	g := needGuest(t)
	fake := func(script string) string {
		path := filepath.Join(t.TempDir(), "qemu")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var missing *MissingError
	var exit *hv.ExitError
	for name, c := range map[string]struct {
		edit func(*Config)
		as   any
		want string
	}{
		"no arch":      {func(c *Config) { c.Arch = nil }, nil, "architecture"},
		"no kernel":    {func(c *Config) { c.Kernel = "" }, nil, "no kernel"},
		"kernel":       {func(c *Config) { c.Kernel = "/does/not/exist" }, nil, "/does/not/exist"},
		"initrd":       {func(c *Config) { c.Initrd = "/no/initrd" }, nil, "/no/initrd"},
		"memory":       {func(c *Config) { c.MemoryBytes = 12345 }, nil, "1 MiB"},
		"smp":          {func(c *Config) { c.SMP = 1000 }, nil, "vCPUs"},
		"no QEMU":      {func(c *Config) { c.Binary = "no-such-qemu" }, &missing, "apt-get install qemu-system-x86"},
		"not a kernel": {func(c *Config) { c.Kernel = "config.go" }, &exit, "exit status"},
		"bad option":   {func(c *Config) { c.Extra = []string{"-no-such-option"} }, &exit, "no-such-option"},
		"old QEMU": {func(c *Config) {
			c.Binary = fake("echo 'TCG plugin requires API version 4, but this QEMU supports only up to version 1: plugin requires API version 4' >&2; exit 1")
		}, &missing, "backports"},
		"mute QEMU":    {func(c *Config) { c.Binary = fake("exec sleep 60") }, nil, "does not answer"},
		"mute wrapper": {func(c *Config) { c.Binary = fake("sleep 60; true") }, nil, "does not answer"},
		"other RAM": {func(c *Config) {
			c.Extra = []string{"-object", "memory-backend-ram,id=other,size=64M", "-machine", "memory-backend=other"}
		}, nil, "does not use the memory"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := g.config(t, 1, "p11")
			c.edit(&cfg)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			start := time.Now()
			m, err := Start(ctx, cfg)
			if err == nil {
				_ = m.Close()
				t.Fatal("it started")
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
			if c.as != nil && !errors.As(err, c.as) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %T %v, want one with %q", err, err, c.want)
			}
		})
	}
}

// RAM on both sides of a PC's hole below 4 GiB is found, and found live.
func TestStartLargeMemory(t *testing.T) {
	g := needGuest(t)
	cfg := g.config(t, 1, "p11")
	cfg.MemoryBytes = 3700 << 20
	m := start(t, cfg)
	got := fmt.Sprintf("%#x", m.Memory().RAM())
	if want := "[{0x0 0xc0000000} {0x100000000 0x127400000}]"; got != want {
		t.Errorf("RAM %s, want %s", got, want)
	}
}

func TestProbe(t *testing.T) {
	g := needGuest(t)
	cfg := g.config(t, 1, "")
	for _, c := range append(ProbeHost(limited(t), cfg), ProbeEmulator(limited(t), cfg)...) {
		if !c.OK || c.Detail == "" || c.Fix != "" {
			t.Errorf("%+v", c)
		}
	}
	cfg.Binary, cfg.CC = "no-such-qemu", "no-such-cc"
	fixes := 0
	checks := append(ProbeHost(limited(t), cfg), ProbeEmulator(limited(t), cfg)...)
	for _, c := range checks {
		if c.Fix != "" {
			fixes++
		}
	}
	if checks[0].OK || !checks[1].OK || checks[2].OK || fixes != 2 {
		t.Errorf("%+v", checks)
	}
	a := *x86.AMD64()
	a.QEMU = nil
	if checks := ProbeEmulator(limited(t), Config{Arch: &a}); len(checks) != 1 || checks[0].OK {
		t.Errorf("%+v", checks)
	}
}
