package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/leakvisor/leakvisor"

// rule says what of ours the packages of a folder, and below, may import. A name
// that ends in "/..." stands for all below it and itself.
type rule struct {
	folder string
	may    []string
}

// rules are in order of precedence: the first that fits a package holds.
var rules = []rule{
	// Values, which know nothing of ours.
	{"arch/all", []string{"arch/..."}},
	{"arch", []string{"arch"}},
	{"guestmem", []string{"arch"}},
	// Small tools, which know only what an address is.
	{"stackdepot", []string{"guestmem"}},
	{"liveset", []string{"guestmem"}},
	{"annotations", nil},
	// Three pillars that know nothing of each other.
	{"symbols", []string{"arch/...", "guestmem", "stackdepot"}},
	{"hv/emu", []string{"arch/...", "guestmem", "hv", "hv/emu/..."}},
	{"hv", []string{"arch/...", "guestmem", "hv"}},
	{"scanner", []string{"guestmem"}},
	// On one pillar each.
	{"kernel", []string{"arch", "guestmem", "symbols"}},
	{"report", []string{"scanner"}},
	{"hooks", []string{"arch", "guestmem", "symbols", "hv", "kernel", "stackdepot", "liveset", "annotations"}},
	{"leak", []string{
		"arch/...", "guestmem", "symbols", "hv", "scanner", "kernel", "report", "hooks",
		"stackdepot", "liveset", "annotations",
	}},
	// Commands, which join everything.
	{"cmd", []string{"..."}},
	{"internal/bench", []string{"..."}},
	{"internal/oracle", []string{"..."}},
	{"internal/metagcc", nil},
	// What only tests import.
	{"internal/imports", nil},
	{"xtest", []string{"arch/...", "guestmem", "hv", "hv/emu", "xtest/..."}},
}

type goPackage struct {
	ImportPath, Doc           string
	Imports                   []string
	GoFiles, CgoFiles         []string
	TestGoFiles, XTestGoFiles []string
	Error                     *struct{ Err string }
}

// folder is the package's path within the repository.
func (p goPackage) folder() string { return within(p.ImportPath) }

func within(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

// list asks the Go tool for all packages of the repository.
func list(t *testing.T) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-json", module+"/...")
	command.Dir = root(t)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 10 {
		t.Fatalf("only %d packages found", len(packages))
	}
	return packages
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// below says whether folder is base or below it.
func below(folder, base string) bool {
	return folder == base || strings.HasPrefix(folder, base+"/")
}

func ruleFor(folder string) *rule {
	for i := range rules {
		if below(folder, rules[i].folder) {
			return &rules[i]
		}
	}
	return nil
}

func (r *rule) allows(folder string) bool {
	return slices.ContainsFunc(r.may, func(name string) bool {
		base, all := strings.CutSuffix(name, "...")
		base = strings.TrimSuffix(base, "/")
		return folder == base || all && (base == "" || below(folder, base))
	})
}

func TestDirections(t *testing.T) {
	for _, p := range list(t) {
		rule := ruleFor(p.folder())
		if rule == nil {
			t.Errorf("%s has no rule here, and no row in docs/architecture.md", p.folder())
			continue
		}
		for _, path := range p.Imports {
			if below(path, module) && !rule.allows(within(path)) {
				t.Errorf("%s may not import %s", p.folder(), within(path))
			}
		}
	}
}

// Only tests, and what measures or compares, have use for what is made for
// tests.
func TestTestSupportStaysInTests(t *testing.T) {
	for _, p := range list(t) {
		if below(p.folder(), "xtest") || below(p.folder(), "internal/bench") || below(p.folder(), "internal/oracle") {
			continue
		}
		for _, path := range p.Imports {
			if path == "testing" || below(within(path), "xtest") {
				t.Errorf("%s imports %s", p.folder(), path)
			}
		}
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"scanner", "symbols", false},
		{"symbols", "hv", false},
		{"hv/qemu", "symbols", false},
		{"hv/qemu", "hv", true},
		{"arch/x86", "arch", true},
		{"arch/x86", "guestmem", false},
		{"guestmem", "arch/x86", false},
		{"archive", "arch", false},
		{"cmd/leakvisor", "hv/kvm", true},
		{"leak", "hv/qemu", false},
	} {
		rule := ruleFor(c.from)
		if got := rule != nil && rule.allows(c.to); got != c.want {
			t.Errorf("%s importing %s: %v", c.from, c.to, got)
		}
	}
}
