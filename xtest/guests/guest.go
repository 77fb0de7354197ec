package guests

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/all"
)

// Default is the guest that the tests run on when nothing else is asked for.
const Default = "x86_64-6.1-cloud"

// Guest is a kernel in the cache: a stock one, or one of ours where there is
// none.
type Guest struct {
	// Name is the name that scripts/guest.sh knows it by.
	Name string
	// Release is what uname -r prints in it, Version that of its package.
	Release, Version string
	// Kernel is its boot image (bzImage), VMLinux the ELF file with its debug
	// symbols.
	Kernel, VMLinux string
	// Headers is the folder that modules are built in (make -C).
	Headers string
	// KernelArch is what the kernel's makefiles call its architecture, empty
	// for this machine's; Cross is the prefix of its compiler and binutils.
	KernelArch, Cross string
	// Stays says that the guest's machine goes on when the guest powers off, or
	// restarts.
	Stays bool
	// Compiler is the C compiler for modules; empty for what Headers or the
	// kernel's makefiles say.
	Compiler string
	// Busybox is a static busybox that runs in the guest; empty where this
	// machine's does, and where there is Init.
	Busybox string
	// Init is the program that is the guest's first process and runs its
	// script, for want of a busybox; mostly empty.
	Init string
	// DTB is the board's device tree; empty where QEMU has it.
	DTB string
	// CPUs is how many the kernel can use.
	CPUs int
	// Emulator is the QEMU program that runs the guest.
	Emulator string
}

// MissingError says that something a test needs is not on this machine.
type MissingError struct {
	// Thing is what is missing, Hint how to get it.
	Thing, Hint string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("no %s here (%s)", e.Thing, e.Hint)
}

// Open finds a guest in the cache. A guest that is not there, or not complete,
// is a *MissingError.
func Open(name string) (*Guest, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "guests", name)
	missing := &MissingError{Thing: "guest " + name, Hint: "scripts/guest.sh " + name + " fetches it"}
	manifest, err := readManifest(filepath.Join(dir, "manifest"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, missing
	}
	if err != nil {
		return nil, fmt.Errorf("guest %s: %w", name, err)
	}
	g := &Guest{
		Name:    name,
		Release: manifest["release"],
		Version: manifest["version"],
		Kernel:  filepath.Join(dir, "vmlinuz"),
		VMLinux: filepath.Join(dir, "vmlinux"),
		Headers: filepath.Join(dir, "build"),

		KernelArch: manifest["karch"],
		Cross:      manifest["cross"],
		Compiler:   manifest["compiler"],
		Stays:      manifest["stays"] != "",
		Emulator:   manifest["emulator"],
		CPUs:       manyCPUs,
	}
	if n, err := strconv.Atoi(manifest["cpus"]); err == nil {
		g.CPUs = n
	}
	if g.Emulator == "" {
		g.Emulator = "qemu-system-x86_64"
	}
	switch init := filepath.Join(dir, "init"); {
	case exists(init):
		g.Init = init
	case g.Cross != "":
		g.Busybox = filepath.Join(dir, "busybox")
	}
	if dtb := filepath.Join(dir, "board.dtb"); exists(dtb) {
		g.DTB = dtb
	}
	files := []string{g.Kernel, g.VMLinux, filepath.Join(g.Headers, "Makefile")}
	if g.Busybox != "" {
		files = append(files, g.Busybox)
	}
	for _, file := range files {
		if !exists(file) {
			return nil, missing
		}
	}
	return g, nil
}

// Machine returns how QEMU runs the guest.
func (g *Guest) Machine(t testing.TB) *arch.QEMU {
	t.Helper()
	f, err := elf.Open(g.VMLinux)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := arch.ELFOf(f.FileHeader).Find(all.Archs())
	if a == nil || a.QEMU == nil {
		t.Fatalf("%s: no emulator is known", g.Name)
	}
	return a.QEMU
}

// MaxCPUs returns how many CPUs the guest can have on QEMU's machine.
func (g *Guest) MaxCPUs(t testing.TB) int {
	t.Helper()
	if n := g.Machine(t).CPUs; n > 0 {
		return min(n, g.CPUs)
	}
	return g.CPUs
}

// manyCPUs is how many every stock kernel can have, and more than tests ask for.
const manyCPUs = 8

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Names lists the guests that the tests run on: those in $LEAKVISOR_GUESTS, or
// the default one.
func Names() []string {
	if names := strings.Fields(os.Getenv("LEAKVISOR_GUESTS")); len(names) > 0 {
		return names
	}
	return []string{Default}
}

// Find is Open for a test, which it skips, or fails, when there is no such
// guest.
func Find(t testing.TB, name string) *Guest {
	t.Helper()
	g, err := Open(name)
	check(t, err)
	return g
}

// Each runs fn as a subtest for each of Names.
func Each(t *testing.T, fn func(t *testing.T, g *Guest)) {
	t.Helper()
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) { fn(t, Find(t, name)) })
	}
}

// Missing skips a test, and counts that, or fails it where nothing may be
// missing. Tests call it when a thing of this machine that they need, and
// that is not a guest, is not there.
func Missing(t testing.TB, thing, hint string) {
	t.Helper()
	check(t, &MissingError{Thing: thing, Hint: hint})
}

func check(t testing.TB, err error) {
	t.Helper()
	var missing *MissingError
	switch {
	case err == nil:
	case errors.As(err, &missing) && os.Getenv("LEAKVISOR_REQUIRE_GUESTS") != "1":
		skip(t, missing)
	default:
		t.Fatal(err)
	}
}

// skip skips a test, and counts that.
func skip(t testing.TB, missing *MissingError) {
	t.Helper()
	if err := countSkip(t.Name(), missing.Thing); err != nil {
		t.Errorf("cannot count a skip: %v", err)
	}
	t.Skip(missing)
}

// countSkip appends one short line, which the system writes in one piece, so
// that tests in several processes may do it at once.
func countSkip(test, thing string) (err error) {
	path := os.Getenv("LEAKVISOR_SKIPS")
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = fmt.Fprintf(f, "%s: no %s\n", test, thing)
	return err
}

func cacheDir() (string, error) {
	if dir := os.Getenv("LEAKVISOR_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "leakvisor"), nil
}

func readManifest(path string) (_ map[string]string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	values := make(map[string]string)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, ok := strings.Cut(lines.Text(), "=")
		if ok {
			values[key] = value
		}
	}
	if values["format"] != "1" || values["release"] == "" {
		return nil, fmt.Errorf("%s: not a manifest of format 1", path)
	}
	return values, nil
}
