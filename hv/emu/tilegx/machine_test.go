package tilegx

import (
	"path/filepath"
	"testing"

	"github.com/leakvisor/leakvisor/xtest/guests"
	"github.com/leakvisor/leakvisor/xtest/programs"
)

// compiler builds programs without a kernel.
type compiler struct {
	gcc, dir string
}

func newCompiler(t testing.TB) *compiler {
	t.Helper()
	return &compiler{guests.Tool(t, "tilegx.sh", "tilegx-linux-gcc"), t.TempDir()}
}

// build compiles sources to an ELF file.
func (c *compiler) build(t testing.TB, name string, args ...string) string {
	t.Helper()
	out := filepath.Join(c.dir, name)
	args = append([]string{
		"-w", "-static", "-nostdlib", "-ffreestanding", "-DSTACK=0x3f00000", "-Wl,-Ttext=0x10000", "-ffunction-sections", "-Wl,--gc-sections", "-I" + programs.Include,
		"-o", out, "testdata/start.S", programs.Library + "/runtime.c",
	}, args...)
	programs.Command(t, "", c.gcc, append(args, "-lgcc")...)
	return out
}
