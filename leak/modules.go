package leak

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/kernel"
	"github.com/leakvisor/leakvisor/symbols"
)

// moduleFiles are .ko files by the name that the kernel gives the module.
type moduleFiles struct {
	paths map[string][]string
	open  []*symbols.Image
}

// findModuleFiles looks for .ko files below dir.
func findModuleFiles(dir string) (*moduleFiles, error) {
	f := &moduleFiles{paths: map[string][]string{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, ok := strings.CutSuffix(d.Name(), ".debug")
		name, isKO := strings.CutSuffix(name, ".ko")
		if (isKO || ok) && d.Type().IsRegular() {
			name = strings.ReplaceAll(name, "-", "_")
			f.paths[name] = append(f.paths[name], path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for modules: %w", err)
	}
	if len(f.paths) == 0 {
		return nil, fmt.Errorf("no .ko file below %s", dir)
	}
	return f, nil
}

// image opens the file whose build ID is the module's; nil where none is.
func (f *moduleFiles) image(m *kernel.Module, o *symbols.Options) (*symbols.Image, error) {
	if f == nil || len(m.BuildID) == 0 {
		return nil, nil
	}
	var first error
	for _, path := range f.paths[m.Name] {
		img, err := symbols.Open(path, o)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		if bytes.Equal(img.BuildID(), m.BuildID) {
			f.open = append(f.open, img)
			return img, nil
		}
		_ = img.Close()
	}
	return nil, first
}

func (f *moduleFiles) close() {
	if f == nil {
		return
	}
	for _, img := range f.open {
		_ = img.Close()
	}
	f.open = nil
}

// moduleLoaded reads a module's symbols and unwind tables while its load
// waits. What cannot be read costs names in backtraces, not verdicts.
func (s *Session) moduleLoaded(addr guestmem.GVA, seq uint64) {
	if s.kernel == nil {
		return
	}
	if err := s.refreshTables(); err != nil {
		s.log.Warn("reading a module", "error", err)
		return
	}
	m, err := s.kernel.Module(addr)
	if err != nil {
		s.log.Warn("reading a module", "error", err)
		return
	}
	in := symbols.Module{Name: m.Name}
	for _, part := range m.Mem {
		in.Ranges = append(in.Ranges, part.Range)
	}
	if m.PerCPUSize > 0 {
		// Its symbols there have per-CPU addresses.
		start := guestmem.GVA(m.PerCPU)
		in.Ranges = append(in.Ranges, gvaRange{Start: start, End: start + guestmem.GVA(m.PerCPUSize)})
	}
	if in.Symbols, err = s.kernel.ModuleSymbols(m); err != nil {
		s.log.Warn("reading a module's symbols", "module", m.Name, "error", err)
	}
	orc, err := s.kernel.ModuleORC(m)
	if err != nil {
		s.log.Warn("reading a module's unwind tables", "module", m.Name, "error", err)
	}
	if orc != nil {
		in.ORCIP, in.ORC, in.ORCIPAddr = orc.IPs, orc.Entries, orc.IPAddr
	}
	if in.EH, err = s.kernel.ModuleEH(m); err != nil {
		s.log.Warn("reading a module's unwind tables", "module", m.Name, "error", err)
	}
	if _, ok := s.arch.Text.(arch.Framer); ok {
		in.Code = s.moduleCode(m)
	}
	if in.Image, err = s.modules.image(m, s.symbolOptions()); err != nil {
		s.log.Warn("opening a module's debug information", "module", m.Name, "error", err)
	}
	if err := s.space.AddModule(in, seq); err != nil {
		s.log.Warn("taking a module", "module", m.Name, "error", err)
	}
	s.log.Info("module loaded", "module", m.Name, "symbols", len(in.Symbols))
}

// moduleCode reads a module's code, but for what cannot be read.
func (s *Session) moduleCode(m *kernel.Module) []symbols.ModuleCode {
	const most = 16 << 20
	var out []symbols.ModuleCode
	for _, part := range m.Mem {
		if part.Kind != kernel.ModuleText && part.Kind != kernel.ModuleInitText || part.Range.Size() > most {
			continue
		}
		b := make([]byte, part.Range.Size())
		if err := guestmem.Read(s.kmem, part.Range.Start, b); err != nil {
			s.log.Warn("reading a module's code", "module", m.Name, "error", err)
			continue
		}
		out = append(out, symbols.ModuleCode{Addr: part.Range.Start, Bytes: b})
	}
	return out
}

func (s *Session) moduleUnloaded(addr guestmem.GVA, seq uint64) {
	if s.kernel == nil {
		return
	}
	m, err := s.kernel.Module(addr)
	if err != nil || len(m.Mem) == 0 {
		s.log.Warn("reading a module that goes", "error", err)
		return
	}
	s.space.RemoveModule(m.Name, m.Mem[0].Range.Start, seq)
	s.log.Info("module unloaded", "module", m.Name)
}
