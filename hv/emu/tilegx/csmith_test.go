package tilegx

import (
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/xtest/programs"
)

// Random C programs print the same here as on the host. Their code is also
// disassembled as binutils' objdump does it.
func TestCsmith(t *testing.T) {
	c := newCompiler(t)
	bundles := 0
	programs.Csmith(t, 5, nil, func(t *testing.T, source, level string) string {
		guest := c.build(t, "guest", level, "-I"+programs.Headers, source)
		bundles += compareText(t, guest, "-d")
		out, _ := programs.Run(t, ISA(), guest, time.Minute)
		return out
	})
	t.Logf("%d bundles", bundles)
}
