package metag

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/xtest/guests"
	"github.com/leakvisor/leakvisor/xtest/programs"
)

// Random C programs print the same here as on the host. They have no 64-bit
// numbers, as internal/metagcc has no arguments on the stack and no library for
// them.
func TestCsmith(t *testing.T) {
	gcc := guests.Tool(t, "metag.sh", "metag-linux-gcc")
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	compile := func(name, source string, options ...string) {
		options = append(options, "-w", "-ffreestanding", "-nostdinc", "-ffunction-sections", "-fno-omit-frame-pointer", "-I"+programs.Include, "-I"+programs.Headers)
		programs.Command(t, "", gcc, append(options, "-c", "-o", in(name), source)...)
	}
	compile("start.o", "testdata/start.S")
	compile("runtime.o", programs.Library+"/runtime.c", "-O1", "-fno-builtin", "-mno-div")
	compile("arith.o", "testdata/arith.c", "-O1", "-fno-builtin", "-mno-div")
	instructions := uint64(0)
	programs.Csmith(t, 10, []string{"--no-argc", "--no-longlong", "--no-divs"}, func(t *testing.T, source, level string) string {
		compile("random.o", source, level, "-march=rv32e") // products and quotients are calls
		programs.Command(t, "", gcc, "-Wl,-Ttext=0x10010000,--gc-sections,-e,__start", "-o", in("guest"),
			in("start.o"), in("random.o"), in("runtime.o"), in("arith.o"))
		out, n := programs.Run(t, ISA(), in("guest"), time.Minute)
		instructions += n
		return out
	})
	t.Logf("%d instructions", instructions)
}
