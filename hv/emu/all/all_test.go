package all

import (
	"testing"

	archs "github.com/leakvisor/leakvisor/arch/all"
)

// The rows say which architectures have an interpreter.
func TestInterpreted(t *testing.T) {
	found := 0
	for _, a := range archs.Archs() {
		isa, ok := ByArch(a)
		if ok != a.Interpreted {
			t.Errorf("%s: interpreted %v, there is one: %v", a.Name, a.Interpreted, ok)
		}
		if ok {
			found++
			if isa.Arch.Name != a.Name {
				t.Errorf("%s is interpreted as %s", a.Name, isa.Arch.Name)
			}
		}
	}
	if found != len(ISAs()) {
		t.Errorf("%d of %d instruction sets are architectures'", found, len(ISAs()))
	}
}
