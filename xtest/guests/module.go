package guests

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Built is a kernel module, built for one guest.
type Built struct {
	// Name is the module's name.
	Name string
	// Debug is the .ko with its DWARF, in a folder that has no other file;
	// Stripped is what a guest loads, without.
	Debug, Stripped string
}

// moduleFormat changes when what is kept for a module does.
const moduleFormat = "1"

// Module is Build for a test, which it skips, or fails, when there is no
// compiler.
func Module(t testing.TB, g *Guest, name string) Built {
	t.Helper()
	built, err := Build(g, name)
	check(t, err)
	return built
}

// Build builds testdata/modules/NAME against the guest's headers. What is built
// is kept in the cache under a hash of the modules' sources, the guest's version
// and build ID, and the compiler.
func Build(g *Guest, name string) (Built, error) {
	fail := func(err error) (Built, error) {
		return Built{}, fmt.Errorf("module %s for %s: %w", name, g.Name, err)
	}
	root, err := repository()
	if err != nil {
		return fail(err)
	}
	sources := filepath.Join(root, "testdata", "modules")
	if _, err := os.Stat(filepath.Join(sources, name, "Kbuild")); err != nil {
		return fail(err)
	}
	key, err := moduleKey(g, sources)
	if err != nil {
		return fail(err)
	}
	cache, err := cacheDir()
	if err != nil {
		return fail(err)
	}
	dir := filepath.Join(cache, "modules", g.Name, name+"-"+key)
	built := Built{
		Name:     name,
		Debug:    filepath.Join(dir, "debug", name+".ko"),
		Stripped: filepath.Join(dir, name+".ko"),
	}
	if _, err := os.Stat(built.Stripped); err == nil {
		return built, nil
	}
	if err := buildInto(g, sources, name, dir); err != nil {
		return fail(err)
	}
	return built, nil
}

// buildInto builds in a folder of its own beside dir, and gives it that name
// when it is complete. Two at once both build, and the first one stays.
func buildInto(g *Guest, sources, name, dir string) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()

	src, result := filepath.Join(temp, "src"), filepath.Join(temp, "result")
	if err := os.CopyFS(src, os.DirFS(sources)); err != nil {
		return err
	}
	// The guest's configuration wants BTF in modules, and that takes tools and
	// a vmlinux that nobody here needs.
	args := []string{"-s", "-C", g.Headers, "M=" + filepath.Join(src, name),
		"CONFIG_DEBUG_INFO_BTF_MODULES=",
		"KCFLAGS=-ffile-prefix-map=" + src + "=testdata/modules"}
	if g.Cross != "" {
		args = append(args, "ARCH="+g.KernelArch, "CROSS_COMPILE="+g.Cross)
	}
	if g.Compiler != "" {
		args = append(args, "CC="+g.Compiler)
	}
	if err := run("make", append(args, "modules")...); err != nil {
		return err
	}
	ko := name + ".ko"
	if err := os.MkdirAll(filepath.Join(result, "debug"), 0o755); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(src, name, ko), filepath.Join(result, "debug", ko)); err != nil {
		return err
	}
	if err := run(g.Cross+"strip", "--strip-debug", "-o", filepath.Join(result, ko),
		filepath.Join(result, "debug", ko)); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(result, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// moduleKey hashes all that a module's code depends on.
func moduleKey(g *Guest, sources string) (string, error) {
	compiler, err := compilerOf(g)
	if err != nil {
		return "", err
	}
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return "", &MissingError{Thing: "compiler " + compiler, Hint: "scripts/setup.sh installs what modules are built with"}
	}
	notes, err := kernelNotes(g.VMLinux)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\x00%s\x00%s\x00%s\x00%x\x00", moduleFormat, g.Release, g.Version, version, notes)
	if err := hashFiles(hash, sources); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// kernelNotes returns the notes of a vmlinux, among them its build ID: a kernel
// that is built once more, with another configuration, is of the same release.
func kernelNotes(vmlinux string) (notes []byte, err error) {
	f, err := elf.Open(vmlinux)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE {
			continue
		}
		content, err := s.Data()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", vmlinux, err)
		}
		notes = append(notes, content...)
	}
	if !bytes.Contains(notes, []byte("GNU\x00")) {
		return nil, fmt.Errorf("%s has no build ID", vmlinux)
	}
	return notes, nil
}

// hashFiles hashes the names and contents of a folder's files.
func hashFiles(hash io.Writer, dir string) error {
	files := os.DirFS(dir)
	return fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		fmt.Fprintf(hash, "%s\x00%d\x00%s", path, len(content), content)
		return err
	})
}

// compilerOf reads which compiler Debian's headers package builds modules with
// (".kernelvariables": CC = … gcc-12). Kbuild's own is gcc.
func compilerOf(g *Guest) (string, error) {
	if g.Compiler != "" {
		return g.Compiler, nil
	}
	content, err := os.ReadFile(filepath.Join(g.Headers, ".kernelvariables"))
	if errors.Is(err, fs.ErrNotExist) {
		return "gcc", nil // a tree of one's own
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "CC" {
			continue
		}
		name := fields[len(fields)-1]
		return g.Cross + name[strings.LastIndexByte(name, ')')+1:], nil
	}
	return "", fmt.Errorf("%s: no compiler in .kernelvariables", g.Headers)
}

// run runs a command, and returns the end of what it printed if it fails.
func run(name string, args ...string) error {
	output, err := exec.Command(name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return &MissingError{Thing: name, Hint: "scripts/setup.sh installs it"}
	}
	if err != nil {
		const most = 4000
		return fmt.Errorf("%s: %w\n%s", name, err, output[max(0, len(output)-most):])
	}
	return nil
}

// repository finds the folder with go.mod, above the working folder.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not within a Go module")
		}
		dir = parent
	}
}
