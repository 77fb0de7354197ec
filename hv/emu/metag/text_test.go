package metag

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

// randomWords are n words: half of them any, half of them of each encoding in
// turn.
func randomWords(n int, seed uint64) []uint32 {
	r := rand.New(rand.NewPCG(seed, 2))
	words := make([]uint32, n)
	all := append(append([]encoding(nil), coreEncodings...), unitEncodings...)
	for i := range words {
		words[i] = r.Uint32()
		if i%2 == 1 {
			e := &all[i/2%len(all)]
			words[i] = words[i]&^e.mask | e.value
		}
	}
	return words
}

// GNU objdump is the judge of what words mean, of those that mean nothing too.
func TestTextIsObjdumps(t *testing.T) {
	objdump := guests.Tool(t, "metag.sh", "metag-linux-objdump")
	n := 1_000_000
	if testing.Short() {
		n = 20_000
	}
	words := randomWords(n, 1)
	file := filepath.Join(t.TempDir(), "words")
	b := make([]byte, 0, 4*n)
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	compareWithObjdump(t, words, exec.Command(objdump, "-D", "-z", "-b", "binary", "-m", "metag", file))
}

func compareWithObjdump(t *testing.T, words []uint32, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen, wrong, instructions := 0, 0, 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		at, rest, ok := strings.Cut(lines.Text(), ":\t")
		pc, err := strconv.ParseUint(strings.TrimSpace(at), 16, 32)
		if !ok || err != nil {
			continue
		}
		_, want, _ := strings.Cut(rest, "\t")
		if seen >= len(words) || pc != uint64(4*seen) {
			t.Fatalf("objdump's line %q is not that of word %d", lines.Text(), seen)
		}
		w := words[seen]
		seen++
		got := Text(w, uint32(pc))
		if got != "" {
			instructions++
		}
		if got != want {
			if wrong++; wrong <= 20 {
				t.Errorf("%08x is\n%q, objdump has\n%q", w, got, want)
			}
		}
	}
	if seen != len(words) {
		t.Errorf("objdump printed %d words of %d", seen, len(words))
	}
	t.Logf("%d words, %d of them instructions, %d wrong", seen, instructions, wrong)
}

func FuzzText(f *testing.F) {
	for _, w := range randomWords(2*(len(coreEncodings)+len(unitEncodings)), 3) {
		f.Add(w, uint32(0x40000000))
	}
	f.Fuzz(func(t *testing.T, w, pc uint32) {
		if text := Text(w, pc); (text == "") != (find(word(w)) == nil) {
			t.Fatalf("%08x is %q", w, text)
		}
	})
}

// The guest's code is what objdump says too.
func TestTextOfGuest(t *testing.T) {
	objdump := guests.Tool(t, "metag.sh", "metag-linux-objdump")
	var kernel string
	for _, l := range guests.Leaklabs() {
		if l.Arch == "metag" {
			kernel = l.Kernel(t)
		}
	}
	f, err := elf.Open(kernel)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := f.Section(".text").Data()
	if err != nil {
		t.Fatal(err)
	}
	words := make([]uint32, len(text)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(text[4*i:])
	}
	file := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	compareWithObjdump(t, words, exec.Command(objdump, "-D", "-z", "-b", "binary", "-m", "metag", file))
}
