package guests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Tool returns the path of a program of the toolchains in the cache, which the
// script with the given name in scripts/toolchain builds. A test that has none
// is skipped, or fails unless $LEAKVISOR_MAY_LACK names the script.
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
		missing := &MissingError{Thing: program, Hint: "scripts/toolchain/" + script + " builds it"}
		if slices.Contains(strings.Fields(os.Getenv("LEAKVISOR_MAY_LACK")), script) {
			skip(t, missing)
		}
		check(t, missing)
	}
	return found[0]
}
