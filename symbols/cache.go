package symbols

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// cacheVersion changes when the meaning of what is cached does.
const cacheVersion = 4

// maxCache bounds a cache file, in bytes; what a run asks for has 150 kB.
const maxCache = 32 << 20

// cache holds answers that took reading DWARF, by build ID. A file is one
// line "leakvisor-symbols VERSION SHA256-OF-THE-REST" and JSON. Nothing that
// is wrong with it is an error: what cannot be read is computed again.
type cache struct {
	path string // empty: not on disk
	log  *slog.Logger

	mu    sync.Mutex
	dirty bool
	answers
}

// answers are kept with nil for what is known not to be there.
type answers struct {
	Structs map[string][]aggregate `json:"structs"`
	Enums   map[string]*int64      `json:"enums"`
	Inlined map[string][]Range     `json:"inlined"`
	// Assigned is by return address. Its layouts are among Structs.
	Assigned map[string][]assignment `json:"assigned"`
}

func newAnswers() answers {
	return answers{map[string][]aggregate{}, map[string]*int64{}, map[string][]Range{}, map[string][]assignment{}}
}

// cacheKey joins a name with the functions near which it was asked for.
func cacheKey(name string, near []string) string {
	return strings.Join(append([]string{name}, near...), "\x00")
}

func openCache(dir string, buildID []byte, log *slog.Logger) *cache {
	c := &cache{log: log, answers: newAnswers()}
	if dir == "" || len(buildID) == 0 {
		return c
	}
	c.path = filepath.Join(dir, "symbols-"+hex.EncodeToString(buildID)+".cache")
	if a, err := readCache(c.path); err == nil {
		c.answers = a
	} else if !errors.Is(err, fs.ErrNotExist) {
		log.Debug("symbol cache is not used", "file", c.path, "error", err)
	}
	return c
}

func readCache(path string) (answers, error) {
	f, err := os.Open(path)
	if err != nil {
		return answers{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCache+1))
	if err != nil {
		return answers{}, err
	}
	return decodeCache(b)
}

// decodeCache checks and reads the content of a cache file.
func decodeCache(b []byte) (answers, error) {
	a := newAnswers()
	if len(b) > maxCache {
		return a, errors.New("larger than a cache gets")
	}
	line, body, ok := bytes.Cut(b, []byte("\n"))
	if !ok || string(line) != cacheHeader(body) {
		return a, errors.New("another version, or damaged")
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return newAnswers(), err
	}
	for _, types := range a.Structs {
		if !validTypes(types) {
			return newAnswers(), errors.New("a layout refers to what is not there")
		}
	}
	fresh := newAnswers()
	fresh.merge(a) // null in place of a map
	return fresh, nil
}

// validTypes checks what Struct relies on.
func validTypes(types []aggregate) bool {
	for _, a := range types {
		for _, m := range a.Members {
			if m.Inner < 0 || m.Inner >= len(types) {
				return false
			}
		}
	}
	return true
}

func (a *answers) merge(b answers) {
	maps.Copy(a.Structs, b.Structs)
	maps.Copy(a.Enums, b.Enums)
	maps.Copy(a.Inlined, b.Inlined)
	maps.Copy(a.Assigned, b.Assigned)
}

func cacheHeader(body []byte) string {
	return fmt.Sprintf("leakvisor-symbols %d %x", cacheVersion, sha256.Sum256(body))
}

// save writes what is new. Another run may do the same meanwhile: its answers
// are taken in, and whoever renames last wins, with a whole file either way.
func (c *cache) save() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == "" || !c.dirty {
		return
	}
	c.dirty = false
	if other, err := readCache(c.path); err == nil {
		other.merge(c.answers)
		c.answers = other
	}
	if err := writeCache(c.path, c.answers); err != nil {
		c.log.Warn("symbol cache could not be written; the next start will be slower", "file", c.path, "error", err)
	}
}

// writeCache replaces the file as a whole, or leaves it as it is.
func writeCache(path string, a answers) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return replaceFile(path, func(w io.Writer) error {
		if _, err := io.WriteString(w, cacheHeader(body)+"\n"); err != nil {
			return err
		}
		_, err := w.Write(body)
		return err
	})
}

// staleAfter is how old a temporary file is before it is taken for one that a
// killed run left.
const staleAfter = time.Hour

// replaceFile makes a file of what write writes, in one step.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	dir, pattern := filepath.Dir(path), filepath.Base(path)+".tmp*"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if left, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil {
		for _, name := range left {
			if st, err := os.Lstat(name); err == nil && time.Since(st.ModTime()) > staleAfter {
				_ = os.Remove(name)
			}
		}
	}
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

func (c *cache) getStruct(key string) ([]aggregate, bool) { return get(c, c.Structs, key) }

func (c *cache) putStruct(key string, types []aggregate) { put(c, c.Structs, key, types) }

func (c *cache) getEnum(key string) (*int64, bool) { return get(c, c.Enums, key) }

func (c *cache) putEnum(key string, v *int64) { put(c, c.Enums, key, v) }

func (c *cache) getInlined(key string) ([]Range, bool) { return get(c, c.Inlined, key) }

func (c *cache) putInlined(key string, r []Range) { put(c, c.Inlined, key, r) }

func (c *cache) getAssigned(key string) ([]assignment, bool) { return get(c, c.Assigned, key) }

func (c *cache) putAssigned(key string, a []assignment) { put(c, c.Assigned, key, a) }

func get[T any](c *cache, m map[string]T, key string) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := m[key]
	return v, ok
}

func put[T any](c *cache, m map[string]T, key string, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[key] = v
	c.dirty = true
}
