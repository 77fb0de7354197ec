package guests

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeGuest makes a guest's folder in a cache of its own.
func fakeGuest(t *testing.T, manifest string) string {
	t.Helper()
	cache := t.TempDir()
	t.Setenv("LEAKVISOR_CACHE", cache)
	dir := filepath.Join(cache, "guests", "some")
	if err := os.MkdirAll(filepath.Join(dir, "build"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"manifest": manifest, "vmlinuz": "k", "vmlinux": "e", "build/Makefile": "m",
		"build/.kernelvariables": "override ARCH = x86\nCC = $(if $(X),$(Y)) $(CROSS_COMPILE)gcc-12\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpen(t *testing.T) {
	dir := fakeGuest(t, "format=1\nname=some\nrelease=6.1.0-1-x\nversion=6.1.2-3\n")
	g, err := Open("some")
	if err != nil {
		t.Fatal(err)
	}
	if g.Release != "6.1.0-1-x" || g.Version != "6.1.2-3" || g.Kernel != filepath.Join(dir, "vmlinuz") {
		t.Errorf("got %+v", g)
	}
	if cc, err := compilerOf(g); err != nil || cc != "gcc-12" {
		t.Errorf("compiler %q, %v", cc, err)
	}
	var missing *MissingError
	if _, err := Open("other"); !errors.As(err, &missing) || !strings.Contains(missing.Hint, "scripts/guest.sh other") {
		t.Errorf("a guest that is not there: %v", err)
	}
	if err := os.Remove(g.VMLinux); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("some"); !errors.As(err, &missing) {
		t.Errorf("a guest without symbols: %v", err)
	}
}

func TestOpenRefusesOtherFormats(t *testing.T) {
	for _, manifest := range []string{"", "format=2\nrelease=x\n", "format=1\n"} {
		fakeGuest(t, manifest)
		var missing *MissingError
		if g, err := Open("some"); err == nil || errors.As(err, &missing) {
			t.Errorf("manifest %q: %v, %v", manifest, g, err)
		}
	}
}

func TestSkipsAreCounted(t *testing.T) {
	t.Setenv("LEAKVISOR_CACHE", t.TempDir())
	t.Setenv("LEAKVISOR_REQUIRE_GUESTS", "")
	skips := filepath.Join(t.TempDir(), "skips")
	t.Setenv("LEAKVISOR_SKIPS", skips)
	for range 2 {
		t.Run("one", func(t *testing.T) {
			Find(t, Default)
			t.Error("went on without a guest")
		})
	}
	got, err := os.ReadFile(skips)
	if err != nil || strings.Count(string(got), ": no guest "+Default+"\n") != 2 {
		t.Errorf("counted %q, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	t.Setenv("LEAKVISOR_GUESTS", "")
	if got := Names(); len(got) != 1 || got[0] != Default {
		t.Errorf("by default %v", got)
	}
	t.Setenv("LEAKVISOR_GUESTS", " a  b ")
	if got := Names(); len(got) != 2 || got[1] != "b" {
		t.Errorf("got %v", got)
	}
}
