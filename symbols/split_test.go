package symbols

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSplit: the file of debug information is found in each place where it
// may be, and no other file is taken for it.
func TestSplit(t *testing.T) {
	stripped, debug := testdata(t, "split.elf"), testdata(t, "split.debug")
	const id = "00/112233445566778899aabbccddeeff00112233.debug"
	for _, place := range []string{
		"boot/vmlinux.debug", "boot/split.debug", "boot/.debug/split.debug", "debug/.build-id/" + id, "debug/BOOT/split.debug",
	} {
		t.Run(place, func(t *testing.T) {
			root, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			write := func(name string, b []byte) string {
				t.Helper()
				name = filepath.Join(root, strings.Replace(name, "BOOT", root+"/boot", 1))
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, b, 0o644); err != nil {
					t.Fatal(err)
				}
				return name
			}
			kernel := write("boot/vmlinux", stripped)
			o := &Options{Archs: rows(), DebugDir: filepath.Join(root, "debug")}
			if _, err := Open(kernel, o); !errors.Is(err, ErrNoSymbols) {
				t.Errorf("a stripped file alone: %v", err)
			}
			other := append([]byte{}, debug...)
			at := strings.Index(string(other), "\x00\x11\x22\x33\x44\x55")
			other[at+3] ^= 1
			name := write(place, other)
			if _, err := Open(kernel, o); !errors.Is(err, ErrNoSymbols) || !strings.Contains(err.Error(), name) {
				t.Errorf("with debug information of another build: %v", err)
			}
			write(place, []byte("no ELF file"))
			if _, err := Open(kernel, o); !errors.Is(err, ErrNoSymbols) {
				t.Errorf("with something else: %v", err)
			}
			write(place, debug)
			im, err := Open(kernel, o)
			if err != nil {
				t.Fatal(err)
			}
			if err := im.CheckKernel(); err != nil {
				t.Error(err)
			}
			if err := im.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckKernel(t *testing.T) {
	if err := open(t, "amd64.elf").CheckKernel(); err != nil {
		t.Error(err)
	}
	if err := open(t, "split.debug").CheckKernel(); !errors.Is(err, ErrNoContent) {
		t.Errorf("debug information without code: %v", err)
	}
	old := open(t, "amd64.elf")
	old.named(".debug_info").name = ".zdebug_info"
	if err := old.CheckKernel(); !errors.Is(err, ErrNoDebugInfo) || !strings.Contains(err.Error(), "--decompress-debug-sections") {
		t.Errorf("GNU's old compression: %v", err)
	}
}
