package tilegx

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/xtest/guests"
	"github.com/leakvisor/leakvisor/xtest/programs"
)

// symbolic is what objdump prints behind an address.
var symbolic = regexp.MustCompile(`([0-9a-f]) <[^>]*>`)

// compareText compares objdump's text of a file, or of an archive, with ours,
// and returns the number of bundles. Objdump prints the low 32 bits of an
// address only.
func compareText(t *testing.T, file string, flags ...string) int {
	t.Helper()
	objdump := guests.Tool(t, "tilegx.sh", "tilegx-linux-objdump")
	out := programs.Command(t, "", objdump, append(flags, file)...)
	n, wrong := 0, 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		at, rest, ok := strings.Cut(lines.Text(), ":\t")
		pc, err := strconv.ParseUint(strings.TrimSpace(at), 16, 64)
		if !ok || err != nil {
			continue
		}
		word, want, ok := strings.Cut(rest, "\t")
		bundle, err := strconv.ParseUint(strings.TrimSpace(word), 16, 64)
		if !ok || err != nil {
			continue
		}
		got := text(bundle, pc, func(a uint64) string { return strconv.FormatUint(uint64(uint32(a)), 16) })
		want = strings.ReplaceAll(symbolic.ReplaceAllString(want, "$1"), " 0x", " ")
		n++
		if got != want {
			if wrong++; wrong <= 10 {
				t.Errorf("%s: %016x at %#x is\n%s, objdump has\n%s", file, bundle, pc, got, want)
			}
		}
	}
	if n == 0 {
		t.Errorf("%s: objdump printed no bundles", file)
	}
	return n
}

// Objdump is the judge of what any word means.
func TestTextOfAnything(t *testing.T) {
	n := 500_000
	if testing.Short() {
		n = 20_000
	}
	r := rand.New(rand.NewPCG(7, 1))
	var b []byte
	for range n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	file := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := compareText(t, file, "-D", "-z", "-b", "binary", "-m", "tilegx"); got != n {
		t.Errorf("objdump printed %d words of %d", got, n)
	}
}

// And of what gcc makes: its own library.
func TestTextOfLibrary(t *testing.T) {
	gcc := guests.Tool(t, "tilegx.sh", "tilegx-linux-gcc")
	library := strings.TrimSpace(string(programs.Command(t, "", gcc, "-print-libgcc-file-name")))
	t.Logf("%d bundles", compareText(t, library, "-d"))
}

func FuzzText(f *testing.F) {
	for _, es := range encodings {
		for _, e := range es {
			f.Add(e.match, uint64(0))
			f.Add(e.match|1<<62, ^uint64(7))
		}
	}
	f.Fuzz(func(t *testing.T, bundle, pc uint64) {
		insts := Decode(bundle)
		if len(insts) != 2 && len(insts) != 3 {
			t.Fatalf("%d instructions in %#x", len(insts), bundle)
		}
		if Text(bundle, pc) == "" {
			t.Fatalf("no text for %#x", bundle)
		}
	})
}
