package all

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

var update = flag.Bool("update", false, "rewrite the support matrix in README.md")

// Marks around the matrix in README.md.
const (
	readme      = "../../README.md"
	matrixBegin = "<!-- support matrix: go test ./arch/all -update -->\n"
	matrixEnd   = "<!-- end of support matrix -->\n"
)

// TestMatrix: the README says of each architecture what its row does.
func TestMatrix(t *testing.T) {
	old, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := bytes.Cut(old, []byte(matrixBegin))
	_, after, ok2 := bytes.Cut(rest, []byte(matrixEnd))
	if !ok1 || !ok2 {
		t.Fatalf("%s has no support matrix", readme)
	}
	want := string(before) + matrixBegin + matrix() + matrixEnd + string(after)
	if *update {
		if err := os.WriteFile(readme, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(old) {
		t.Errorf("%s is not up to date: run go test ./arch/all -update. It should have:\n%s", readme, matrix())
	}
}

func matrix() string {
	var b strings.Builder
	b.WriteString("| architecture | words | exits of functions | page tables | emulator | Debian package |\n|---|---|---|---|---|---|\n")
	for _, a := range Archs() {
		order := "little-endian"
		if a.Order.Uint16([]byte{0, 1}) == 1 {
			order = "big-endian"
		}
		emulator, pkg := "needs emulator", "-"
		if a.Interpreted {
			emulator = "built in"
		}
		if a.QEMU != nil {
			emulator, pkg = "`"+a.QEMU.Binary+"`", "`"+a.QEMU.Package+"`"
		}
		fmt.Fprintf(&b, "| %s | %d bits, %s | %s | %s | %s | %s |\n", a.Name, 8*a.WordSize, order,
			either(a.Text != nil, "disassembled"), tables(a.Paging), emulator, pkg)
	}
	return b.String()
}

func either(yes bool, what string) string {
	if yes {
		return what
	}
	return "no"
}

func tables(p *arch.Paging) string {
	if p == nil {
		return "no"
	}
	n := fmt.Sprint(len(p.Levels))
	if p.Extra != nil {
		n += fmt.Sprintf(" or %d", len(p.Levels)+1)
	}
	return fmt.Sprintf("%s levels, %d KB pages", n, 1<<p.PageShift>>10)
}
