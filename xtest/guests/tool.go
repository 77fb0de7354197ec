package guests

import (
	"path/filepath"
	"testing"
)

// Tool returns the path of a program of the toolchains in the cache, which the
// script with the given name in scripts/toolchain builds. A test that has none
// is skipped, or fails.
func Tool(t testing.TB, script, program string) string {
	t.Helper()
	cache, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(cache, "toolchains", "*", "bin", program))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		Missing(t, program, "scripts/toolchain/"+script+" builds it")
	}
	return found[0]
}
