package guests

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

// A kernel that is built once more has other notes for its build ID alone.
func TestKernelNotes(t *testing.T) {
	first := filepath.Join("..", "..", "symbols", "testdata", "amd64.elf")
	content, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	id, err := hex.DecodeString("00112233445566778899aabbccddeeff00112233")
	if err != nil {
		t.Fatal(err)
	}
	rebuilt := bytes.ReplaceAll(content, id, bytes.Repeat([]byte{7}, len(id)))
	second, none := filepath.Join(t.TempDir(), "vmlinux"), filepath.Join(t.TempDir(), "none")
	for path, content := range map[string][]byte{second: rebuilt, none: bytes.ReplaceAll(content, []byte("GNU\x00"), []byte("own\x00"))} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := kernelNotes(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := kernelNotes(second)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) || !bytes.Contains(a, id) {
		t.Errorf("notes %x and %x", a, b)
	}
	if notes, err := kernelNotes(none); err == nil {
		t.Errorf("no build ID, but notes %x", notes)
	}
}
