package symbols

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ask asks for one of each kind of answer, present and absent.
func ask(t *testing.T, im *Image) string {
	t.Helper()
	var out strings.Builder
	for _, name := range []string{"outer", "nothing"} {
		s, err := im.Struct(name, "function")
		if s != nil {
			f, ferr := s.Field("many[1].high")
			out.WriteString(f.Type)
			err = ferr
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	for _, name := range []string{"BLUE", "nothing"} {
		v, err := im.Enum(name)
		out.WriteByte(byte('a' + v + 3))
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	for _, name := range []string{"inlined", "function", "nothing"} {
		r, err := im.Inlined(name, "function")
		for _, x := range r {
			out.WriteByte(byte('A' + x.Size()%26))
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	return out.String()
}

func openCached(t *testing.T, dir string, log *slog.Logger) *Image {
	t.Helper()
	im, err := Open(filepath.Join("testdata", "amd64.elf"), &Options{CacheDir: dir, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func onlyFile(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("cache folder: %v, %v", list, err)
	}
	return filepath.Join(dir, list[0].Name())
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	im := openCached(t, dir, nil)
	want := ask(t, im)
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	path := onlyFile(t, dir)
	first, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}

	im = openCached(t, dir, nil)
	if got := ask(t, im); got != want {
		t.Errorf("cached answers %q, computed %q", got, want)
	}
	if im.dwarf != nil {
		t.Error("DWARF was read although all was cached")
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(path); err != nil || !again.ModTime().Equal(first.ModTime()) {
		t.Error("an unchanged cache was written again")
	}

	// Another question is added to what is there.
	im = openCached(t, dir, nil)
	if _, err := im.Struct("list_head"); err != nil {
		t.Fatal(err)
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := readCache(path)
	if err != nil || a.Structs[cacheKey("list_head", nil)] == nil || a.Structs[cacheKey("outer", []string{"function"})] == nil {
		t.Errorf("after a second run: %v, %d layouts", err, len(a.Structs))
	}
}

// TestCacheDamaged changes a cache file in every way and expects right
// answers, and a whole file afterwards.
func TestCacheDamaged(t *testing.T) {
	dir := t.TempDir()
	im := openCached(t, dir, nil)
	want := ask(t, im)
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	path := onlyFile(t, dir)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	resealed := func(body string) []byte { return []byte(cacheHeader([]byte(body)) + "\n" + body) }
	bad := map[string][]byte{
		"empty":          {},
		"cut":            good[:len(good)/2],
		"without a line": bytes.ReplaceAll(good, []byte("\n"), nil),
		"longer":         append(bytes.Clone(good), ' '),
		"version":        bytes.Replace(good, []byte("symbols 1 "), []byte("symbols 0 "), 1),
		"no JSON":        resealed("{"),
		"wrong types":    resealed(`{"structs":7}`),
		"bad index":      resealed(`{"structs":{"outer\u0000function":[{"s":8,"m":[{"n":"list","t":"x","i":5}]}]}}`),
		"negative index": resealed(`{"structs":{"outer\u0000function":[{"s":8,"m":[{"n":"list","t":"x","i":-1}]}]}}`),
		"nulls":          resealed(`{"structs":null,"enums":null,"inlined":null}`),
	}
	for at := 0; at < len(good); at += 97 {
		flipped := bytes.Clone(good)
		flipped[at] ^= 0x20
		bad["flipped "+string(rune('0'+at%10))+strings.Repeat("+", at/97)] = flipped
	}
	for name, content := range bad {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		im := openCached(t, dir, nil)
		if got := ask(t, im); got != want {
			t.Errorf("%s: answers %q, want %q", name, got, want)
		}
		if err := im.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := readCache(onlyFile(t, dir)); err != nil {
			t.Errorf("%s: not rebuilt: %v", name, err)
		}
	}
}

// TestCacheUnwritable expects a warning and nothing else of a folder that is
// none.
func TestCacheUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	im := openCached(t, file, slog.New(slog.NewTextHandler(&log, nil)))
	if ask(t, im) == "" {
		t.Error("no answers")
	}
	if err := im.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), file) {
		t.Errorf("log: %s", log.String())
	}
}

// TestReplaceFileFullDisk lets writing fail half way.
func TestReplaceFileFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cache")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	stale, fresh := path+".tmp1", path+".tmp2"
	for _, name := range []string{stale, fresh} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(stale, old, old); err != nil {
		t.Fatal(err)
	}
	err := replaceFile(path, func(w io.Writer) error {
		if _, err := w.Write([]byte("half")); err != nil {
			return err
		}
		return syscall.ENOSPC
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "old" || err != nil {
		t.Errorf("the old file became %q, %v", b, err)
	}
	if err := os.Remove(fresh); err != nil {
		t.Errorf("another run's file: %v", err)
	}
	onlyFile(t, dir) // neither half nor stale
}

func TestCacheTwoRuns(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 5 {
				im := openCached(t, dir, nil)
				im.cache.dirty = true
				ask(t, im)
				if err := im.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if _, err := readCache(onlyFile(t, dir)); err != nil {
		t.Error(err)
	}
}

// TestConcurrentUse asks one image from many goroutines, for the race
// detector.
func TestConcurrentUse(t *testing.T) {
	im := open(t, "zlib.elf")
	want := ask(t, im)
	f, err := im.Symbol("function")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if got := ask(t, im); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if _, _, ok := im.Line(f.Addr); !ok {
				t.Error("no line")
			}
		}()
	}
	wg.Wait()
}
