package all

import (
	"debug/elf"
	"maps"
	"slices"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
)

// Each row is complete in itself: what it names is there.
func TestRows(t *testing.T) {
	seen := map[arch.ELF]string{}
	for _, a := range Archs() {
		t.Run(a.Name, func(t *testing.T) {
			if other := seen[a.ELF]; other != "" {
				t.Errorf("%s has the same ELF header", other)
			}
			seen[a.ELF] = a.Name
			if a.ELF.Find(Archs()).Name != a.Name {
				t.Error("it is not found by its ELF header")
			}
			if !slices.Contains(slices.Collect(maps.Values(a.Relocs.Sizes)), a.WordSize) {
				t.Errorf("no relocation of a pointer, only %v", a.Relocs.Sizes)
			}
			for typ, size := range a.Relocs.Sizes {
				if typ == 0 || size != 4 && size != 8 {
					t.Errorf("relocation %d of %d bytes", typ, size)
				}
			}
			if want := map[elf.Class]int{elf.ELFCLASS32: 4, elf.ELFCLASS64: 8}[a.ELF.Class]; a.WordSize != want {
				t.Errorf("words of %d bytes", a.WordSize)
			}
			if little := a.Order.Uint16([]byte{1, 0}) == 1; little != (a.ELF.Data == elf.ELFDATA2LSB) {
				t.Error("the byte order is not the ELF header's")
			}
			regs := map[string]bool{}
			for _, r := range a.Regs {
				if regs[r.Name] || r.Size < 1 || r.Size > 8 {
					t.Errorf("register %+v", r)
				}
				regs[r.Name] = true
			}
			need := append([]string{a.Call.PC, a.Call.SP, a.Call.Result}, a.Call.Args...)
			optional := []string{a.Call.FP, a.Call.Link, a.Linux.PerCPUBase, a.Linux.Current, a.Linux.UserMode.Register}
			if p := a.Paging; p != nil {
				optional = append(optional, p.RootRegister, p.ExtraRegister, p.Off.Register)
			}
			for _, name := range optional {
				if name != "" {
					need = append(need, name)
				}
			}
			for _, name := range need {
				if !regs[name] {
					t.Errorf("there is no register %q", name)
				}
			}
			if p := a.Paging; p != nil {
				next := p.VABits
				for _, l := range p.Levels {
					if l.Shift+l.Bits != next {
						t.Errorf("level %s ends at bit %d, the one above begins at %d", l.Name, l.Shift+l.Bits, next)
					}
					next = l.Shift
				}
				if next != p.PageShift {
					t.Errorf("the last level leaves %d bits, pages have %d", next, p.PageShift)
				}
			}
			if a.QEMU != nil && (a.QEMU.Binary == "" || a.QEMU.Package == "" || a.QEMU.Machine == "" || a.QEMU.Console == "") {
				t.Errorf("QEMU %+v", a.QEMU)
			}
		})
	}
}
