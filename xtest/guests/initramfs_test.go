package guests

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/u-root/u-root/pkg/cpio"
)

func TestInitramfs(t *testing.T) {
	dir := t.TempDir()
	module := filepath.Join(dir, "some.ko")
	if err := os.WriteFile(module, []byte("a module"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "out.cpio.gz")
	check(t, WriteInitramfsFile(file, InitramfsOptions{
		Script:  "insmod /modules/some.ko",
		Modules: []string{module},
		Files:   map[string]string{"/etc/deep/down": module},
	}))
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	records, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(content)))
	if err != nil {
		t.Fatal(err)
	}
	archive := cpio.ArchiveFromRecords(records)
	for name, want := range map[string]string{
		"init":            initScript,
		"script":          "insmod /modules/some.ko\n",
		"modules/some.ko": "a module",
		"etc/deep/down":   "a module",
	} {
		record, ok := archive.Get(name)
		if !ok {
			t.Errorf("no %s", name)
			continue
		}
		got, err := io.ReadAll(io.NewSectionReader(record, 0, int64(record.FileSize)))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	console, ok := archive.Get("dev/console")
	if !ok || console.Mode&cpio.S_IFMT != cpio.S_IFCHR || console.Rmajor != 5 || console.Rminor != 1 {
		t.Errorf("/dev/console is %v", console)
	}
	// A folder is made before what is in it: the kernel makes none itself.
	seen := map[string]bool{".": true}
	for _, record := range records {
		if parent := filepath.Dir(record.Name); !seen[parent] {
			t.Errorf("%s comes before its folder", record.Name)
		}
		seen[record.Name] = true
	}
}

func TestInitramfsIsReproducible(t *testing.T) {
	var first, second bytes.Buffer
	check(t, WriteInitramfs(&first, InitramfsOptions{Script: "true"}))
	check(t, WriteInitramfs(&second, InitramfsOptions{Script: "true"}))
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of the same content differ")
	}
}

func TestInitramfsLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	err := WriteInitramfsFile(filepath.Join(dir, "out"), InitramfsOptions{Modules: []string{"/does/not/exist.ko"}})
	if err == nil {
		t.Fatal("no error for a module that is not there")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("left %v, %v", files, err)
	}
}

func TestBusyboxMustBeStatic(t *testing.T) {
	t.Setenv("LEAKVISOR_BUSYBOX", filepath.Join(t.TempDir(), "none"))
	var missing *MissingError
	if err := WriteInitramfs(io.Discard, InitramfsOptions{}); !errors.As(err, &missing) {
		t.Errorf("without a busybox: %v", err)
	}
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LEAKVISOR_BUSYBOX", sh)
	if err := WriteInitramfs(io.Discard, InitramfsOptions{}); !errors.As(err, &missing) {
		t.Errorf("with %s, which is dynamically linked: %v", sh, err)
	}
}
