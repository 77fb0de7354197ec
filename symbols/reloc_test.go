package symbols

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/leakvisor/leakvisor/xtest/guests"
)

// An object file of Meta's, which debug/elf cannot relocate, has types and lines
// by name.
func TestMetaObject(t *testing.T) {
	gcc := guests.Tool(t, "metag.sh", "metag-linux-gcc")
	source, object := filepath.Join(t.TempDir(), "a.c"), filepath.Join(t.TempDir(), "a.o")
	text := "struct pair { int first; char *second; };\n\nchar *second(struct pair *p) { return p->second; }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-g", "-O1", "-c", "-o", object, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	im, err := Open(object, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	pair, err := im.Struct("pair")
	if err != nil {
		t.Fatal(err)
	}
	if f, err := pair.Field("second"); err != nil || f.Offset != 4 || pair.Size != 8 {
		t.Errorf("second is %+v of %d bytes, %v; want it at 4 of 8", f, pair.Size, err)
	}
	s, err := im.Symbol("second")
	if err != nil {
		t.Fatal(err)
	}
	if file, line, ok := im.Line(s.Addr); !ok || line != 3 || filepath.Base(file) != "a.c" {
		t.Errorf("second is at %s:%d, %v; want a.c:3", file, line, ok)
	}
}
