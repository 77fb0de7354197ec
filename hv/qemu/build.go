package qemu

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed plugin/*.c plugin/*.h
var pluginSource embed.FS

// pluginFiles are all of it, the ones to be compiled first.
var pluginFiles = []string{"plugin.c", "hooks.c", "memory.c", "ring.c", "adopt.c", "windows.c", "api.h", "plugin.h", "shared.h"}

const pluginUnits = 6 // of pluginFiles

var pluginFlags = []string{"-std=gnu11", "-O2", "-Wall", "-shared", "-fPIC", "-pthread", "-fvisibility=hidden"}

const (
	fixCC = "install a C compiler: on Debian and Ubuntu `apt-get install gcc libc6-dev`"
	// staleBuild is the age at which the remains of a build that was killed
	// are removed.
	staleBuild = time.Hour
	tmpPrefix  = "plugin-build-"
)

func cacheDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("qemu: no cache directory: %w", err)
	}
	return filepath.Join(base, "leakvisor"), nil
}

// compiler finds the C compiler and says which one it is.
func compiler(ctx context.Context, cc string) (path, version string, err error) {
	if cc == "" {
		cc = "cc"
	}
	path, err = exec.LookPath(cc)
	if err != nil {
		return "", "", &MissingError{What: "the C compiler " + cc, Fix: fixCC, Reason: err}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if ctx.Err() != nil {
		return "", "", fmt.Errorf("qemu: asking for the C compiler's version: %w", ctx.Err())
	}
	if err != nil {
		return "", "", &MissingError{What: "a working C compiler", Fix: fixCC, Reason: fmt.Errorf("%s --version: %w", path, err)}
	}
	version, _, _ = strings.Cut(string(out), "\n")
	return path, version, nil
}

// buildPlugin returns the path of the compiled plugin in dir, compiling it if
// it is not there. Two runs may do so at once: each builds in a folder of its
// own and renames the result, which depends on nothing but the source, the
// flags and the compiler.
func buildPlugin(ctx context.Context, dir, cc string) (string, error) {
	cc, version, err := compiler(ctx, cc)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%q\n", cc, version, pluginFlags)
	for _, name := range pluginFiles {
		b, err := pluginSource.ReadFile("plugin/" + name)
		if err != nil {
			return "", fmt.Errorf("qemu: plugin source: %w", err)
		}
		fmt.Fprintf(sum, "%d\n%s", len(b), b)
	}
	path := filepath.Join(dir, fmt.Sprintf("plugin-%x.so", sum.Sum(nil)[:16]))
	if checkPlugin(path) == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("qemu: cache directory: %w", err)
	}
	removeStale(dir)
	tmp, err := os.MkdirTemp(dir, tmpPrefix)
	if err != nil {
		return "", fmt.Errorf("qemu: cache directory: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := compile(ctx, cc, tmp, path); err != nil {
		return "", err
	}
	return path, nil
}

func compile(ctx context.Context, cc, tmp, path string) error {
	for _, name := range pluginFiles {
		b, err := pluginSource.ReadFile("plugin/" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(tmp, name), b, 0o644)
		}
		if err != nil {
			return fmt.Errorf("qemu: writing the plugin's source to the cache: %w", err)
		}
	}
	out := filepath.Join(tmp, "plugin.so")
	cmd := exec.CommandContext(ctx, cc, append(append(slices.Clone(pluginFlags), "-o", out), pluginFiles[:pluginUnits]...)...)
	cmd.Dir, cmd.WaitDelay = tmp, waitDelay
	// The compiler's own temporary files go the same way.
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "LC_ALL=C")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("qemu: compiling the plugin: %w", ctx.Err())
		}
		text := tailOf(said.String(), 12)
		if strings.Contains(text, "No such file or directory") && strings.Contains(text, ".h") {
			return &MissingError{What: "the C library's headers", Fix: fixCC, Reason: errors.New(text)}
		}
		return &MissingError{What: "a C compiler that compiles the plugin for QEMU", Fix: fixCC, Reason: fmt.Errorf("%s: %w: %s", cc, err, text)}
	}
	if err := checkPlugin(out); err != nil {
		return fmt.Errorf("qemu: the compiler's output is incomplete (is the disk full?): %w", err)
	}
	if err := os.Rename(out, path); err != nil {
		return fmt.Errorf("qemu: putting the plugin into the cache: %w", err)
	}
	return nil
}

// checkPlugin says whether path is a whole shared object with our entry
// point: what a full disk left behind is not.
func checkPlugin(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	syms, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	for _, s := range syms {
		if s.Name == "qemu_plugin_install" && s.Section != elf.SHN_UNDEF {
			return nil
		}
	}
	return errors.New("no qemu_plugin_install in it")
}

// removeStale removes what killed builds left.
func removeStale(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), tmpPrefix) && time.Since(info.ModTime()) > staleBuild {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// tailOf returns the last lines of s, cleaned of what a terminal would
// interpret.
func tailOf(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f) {
			return '?'
		}
		return r
	}, strings.Join(all, "\n"))
}
