package guests

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Leaklab is our own kernel (testdata/guests/leaklab) for one architecture.
type Leaklab struct {
	// Arch is its folder in arch/.
	Arch string
	// Emulator is the QEMU program that runs it; empty where Leakvisor does.
	Emulator string
	// CPUs is how many it starts.
	CPUs int

	cross string // prefix of the compiler
	setup string // a guest with the same tools, or the toolchain's script
}

// Leaklabs lists the architectures that leaklab runs on.
func Leaklabs() []Leaklab {
	return []Leaklab{
		{"x86_64", "qemu-system-x86_64", 2, "x86_64-linux-gnu-", "x86_64-6.1-cloud"},
		{"i386", "qemu-system-i386", 1, "i686-linux-gnu-", "i386-6.1"},
		{"arm64", "qemu-system-aarch64", 2, "aarch64-linux-gnu-", "arm64-6.1-cloud"},
		{"s390x", "qemu-system-s390x", 2, "s390x-linux-gnu-", "s390x-6.1"},
		{"mips", "qemu-system-mips", 1, "mips-linux-gnu-", "mips-6.1"},
		{"tilegx", "", 2, "tilegx-linux-", "tilegx.sh"},
		{"metag", "", 2, "metag-linux-", "metag.sh"},
	}
}

// Verdicts is the file with what is to be said of leaklab, on all architectures;
// the lines about plants whose names begin with cpu1 are for two CPUs.
func (l Leaklab) Verdicts() (string, error) {
	root, err := repository()
	return filepath.Join(root, "testdata", "guests", "leaklab", "verdicts.txt"), err
}

// Kernel returns the kernel, an ELF file with debug information, for a test,
// which it skips, or fails, where there is no compiler or no emulator.
func (l Leaklab) Kernel(t testing.TB) string {
	t.Helper()
	if l.Emulator == "" {
		kernel, err := l.build(Tool(t, l.setup, l.cross+"gcc"))
		check(t, err)
		return kernel
	}
	hint := "scripts/setup.sh " + l.setup + " installs it"
	if _, err := exec.LookPath(l.Emulator); err != nil {
		Missing(t, l.Emulator, hint)
	}
	compiler, err := l.compiler()
	if err != nil {
		Missing(t, l.cross+"gcc", hint)
	}
	kernel, err := l.build(compiler)
	check(t, err)
	return kernel
}

// compiler finds the compiler, under Debian's two names.
func (l Leaklab) compiler() (path string, err error) {
	for _, name := range []string{"gcc", "gcc-12"} {
		if path, err = exec.LookPath(l.cross + name); err == nil {
			return path, nil
		}
	}
	return "", err
}

// build builds it, unless that was done with these sources and this compiler.
func (l Leaklab) build(compiler string) (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	sources := filepath.Join(root, "testdata", "guests", "leaklab")
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	hash.Write(version)
	if err := hashFiles(hash, sources); err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "leaklab")
	path := filepath.Join(dir, l.Arch+"-"+hex.EncodeToString(hash.Sum(nil)[:8])+".elf")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Two at once both build, and the last one stays.
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return "", err
	}
	fresh := filepath.Join(temp, "kernel")
	cmd := exec.Command(filepath.Join(sources, "build.sh"), l.Arch, fresh)
	cmd.Env = append(os.Environ(), "CC="+compiler)
	output, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("leaklab for %s: %w\n%s", l.Arch, err, output)
	} else {
		err = os.Rename(fresh, path)
	}
	return path, errors.Join(err, os.RemoveAll(temp))
}
