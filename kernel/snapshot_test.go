package kernel

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// snapshot is a paused real guest on disk: the folder named by
// LEAKVISOR_SNAPSHOT holds its RAM (mem, from physical address zero), its
// vmlinux, its registers and slide (snapshot.json) and what it said of itself
// on its console before it was paused (console: the content of files, each
// between "=====BEGIN name" and "=====END").
type snapshot struct {
	Slide uint64              `json:"slide"`
	Regs  []map[string]uint64 `json:"regs"`

	k     *Kernel
	im    *symbols.Image
	space *guestmem.AddressSpace
	files map[string]string
}

func openSnapshot(t testing.TB) *snapshot {
	dir := os.Getenv("LEAKVISOR_SNAPSHOT")
	if dir == "" {
		t.Skip("LEAKVISOR_SNAPSHOT names no folder with a paused guest")
	}
	s := &snapshot{files: map[string]string{}}
	b, err := os.ReadFile(filepath.Join(dir, "snapshot.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, s); err != nil {
		t.Fatal(err)
	}
	mem, err := os.ReadFile(filepath.Join(dir, "mem"))
	if err != nil {
		t.Fatal(err)
	}
	ram, err := guestmem.NewRAM(guestmem.Piece{Data: mem})
	if err != nil {
		t.Fatal(err)
	}
	s.im, err = symbols.Open(filepath.Join(dir, "vmlinux"), &symbols.Options{CacheDir: filepath.Join(dir, "cache")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.im.Close() })
	if s.space, err = guestmem.FromRegisters(ram, s.im.Arch(), s.Regs[0]); err != nil {
		t.Fatal(err)
	}
	if s.k, err = New(s.space, ram, s.im, s.Slide); err != nil {
		t.Fatal(err)
	}
	console, err := os.ReadFile(filepath.Join(dir, "console"))
	if err != nil {
		t.Fatal(err)
	}
	s.files = consoleFiles(string(console))
	return s
}

// consoleFiles takes what the guest printed apart.
func consoleFiles(console string) map[string]string {
	out := map[string]string{}
	name, body := "", []string(nil)
	for _, line := range strings.Split(strings.ReplaceAll(console, "\r", ""), "\n") {
		switch {
		case strings.HasPrefix(line, "=====BEGIN "):
			name, body = strings.TrimPrefix(line, "=====BEGIN "), nil
		case line == "=====END":
			out[name] = strings.Join(body, "\n")
			name = ""
		case name != "":
			body = append(body, line)
		}
	}
	return out
}
