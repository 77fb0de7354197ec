package symbols

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"strings"
	"testing"

	"github.com/go-delve/delve/pkg/dwarf/frame"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/xtest/guests"
)

// eachVMLinux runs fn on the stock kernels that the tests run on.
func eachVMLinux(t *testing.T, fn func(t *testing.T, im *Image)) {
	guests.Each(t, func(t *testing.T, g *guests.Guest) {
		im, err := Open(g.VMLinux, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer im.Close()
		if release, err := im.Release(); err != nil || release != g.Release {
			t.Errorf("Release = %s, %v; want %s", release, err, g.Release)
		}
		if len(im.BuildID()) != 20 {
			t.Errorf("build ID %x", im.BuildID())
		}
		fn(t, im)
	})
}

// TestVMLinuxSymbols compares the symbol table with debug/elf's.
func TestVMLinuxSymbols(t *testing.T) {
	eachVMLinux(t, func(t *testing.T, im *Image) {
		want, err := im.elf.Symbols()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, w := range want {
			typ := elf.ST_TYPE(w.Info)
			if w.Name == "" || w.Section == elf.SHN_UNDEF || typ == elf.STT_FILE || typ == elf.STT_SECTION {
				continue
			}
			n++
			found := false
			for _, s := range im.Symbols(w.Name) {
				found = found || s.Addr == w.Value && s.Size == w.Size && s.Func == (typ == elf.STT_FUNC)
			}
			if !found {
				t.Fatalf("%+v is not in %+v", w, im.Symbols(w.Name))
			}
			if typ == elf.STT_FUNC && w.Size > 0 {
				if s, ok := im.FuncAt(w.Value + w.Size - 1); !ok || s.Addr < w.Value || s.Addr >= w.Value+w.Size {
					t.Errorf("the last byte of %+v is of %+v", w, s)
				}
			}
		}
		if n != len(im.syms.all) || n < 50_000 {
			t.Errorf("%d symbols, want %d", len(im.syms.all), n)
		}
	})
}

// TestVMLinuxLayouts compares layouts with those of debug/dwarf's type
// reader, which is other code.
func TestVMLinuxLayouts(t *testing.T) {
	eachVMLinux(t, func(t *testing.T, im *Image) {
		di, err := im.debug()
		if err != nil {
			t.Fatal(err)
		}
		for name, near := range map[string]string{
			"task_struct": "copy_process", "mm_struct": "copy_process", "page": "kfree", "kmem_cache": "kmem_cache_alloc_bulk",
			"module": "load_module", "vm_struct": "find_vm_area", "zone": "free_unref_page", "pglist_data": "free_unref_page",
			"orc_entry": "unwind_next_frame", "pt_regs": "unwind_next_frame", "list_head": "kfree", "memblock": "memblock_add_node",
		} {
			units := di.unitsOf([]string{near})
			if len(units) == 0 {
				units = di.unitsOf([]string{near + "_noprof"})
			}
			if len(units) != 1 {
				t.Fatalf("%s is in the units %d", near, units)
			}
			off, err := di.findType(di.units[units[0]], name)
			if err != nil || off == 0 {
				t.Fatalf("%s near %s: %#x, %v", name, near, off, err)
			}
			typ, err := di.data.Type(off)
			if err != nil {
				t.Fatal(err)
			}
			want, ok := typ.(*dwarf.StructType)
			if !ok {
				t.Fatalf("%s is a %T", name, typ)
			}
			s, err := im.Struct(name, near, near+"_noprof")
			if err != nil || int64(s.Size) != want.ByteSize {
				t.Fatalf("%s: %+v, %v; want %d bytes", name, s, err, want.ByteSize)
			}
			if n := compareLayout(t, s, want, "", 0); n == 0 {
				t.Errorf("%s: no members compared", name)
			}
		}
	})
}

func compareLayout(t *testing.T, s *Struct, want *dwarf.StructType, prefix string, base int64) (n int) {
	t.Helper()
	for _, w := range want.Field {
		path := prefix + w.Name
		inner := w.Type
		for {
			if td, ok := inner.(*dwarf.TypedefType); ok {
				inner = td.Type
			} else if q, ok := inner.(*dwarf.QualType); ok {
				inner = q.Type
			} else {
				break
			}
		}
		st, isStruct := inner.(*dwarf.StructType)
		if w.Name == "" {
			if isStruct {
				n += compareLayout(t, s, st, prefix, base+w.ByteOffset)
			}
			continue
		}
		got, err := s.Field(path)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		n++
		if w.BitSize != 0 {
			first := (base+w.ByteOffset)*8 + w.DataBitOffset
			if int64(got.Offset*8+got.BitOffset) != first || int64(got.BitSize) != w.BitSize {
				t.Errorf("%s.%s: %+v, want bit %d and %d bits", s.Name, path, got, first, w.BitSize)
			}
			continue
		}
		size := w.Type.Size()
		if int64(got.Offset) != base+w.ByteOffset || int64(got.Size) != max(size, 0) {
			t.Errorf("%s.%s: %+v, want %d bytes at %d", s.Name, path, got, size, base+w.ByteOffset)
		}
		if isStruct && len(prefix) < 64 {
			n += compareLayout(t, s, st, path+".", base+w.ByteOffset)
		}
	}
	return n
}

// TestVMLinuxUnwind compares the kernel's two tables about its stack frames,
// which objtool and the compiler made: ORC and CFI.
func TestVMLinuxUnwind(t *testing.T) {
	eachVMLinux(t, func(t *testing.T, im *Image) {
		s := NewSpace(im, 0)
		u, err := s.Unwinder()
		if err != nil || u.Method() != "ORC" {
			t.Fatalf("%v, %v", u, err)
		}
		orc, err := newORCUnwinder(s)
		if err != nil {
			t.Fatal(err)
		}
		cfi, err := newCFIUnwinder(s)
		if err != nil {
			t.Fatal(err)
		}
		const rsp, rbp = 7, 6 // DWARF numbers
		same, differ := 0, map[string]bool{}
		for i, fde := range cfi.fdes {
			if i%7 != 0 {
				continue
			}
			for pc := fde.Begin(); pc < fde.End(); pc += 13 {
				row := cfi.row(pc)
				rule, _, ok := orc.find(0, guestmem.GVA(pc))
				if row == nil || !ok {
					continue
				}
				at := fmt.Sprintf("%#x: ORC %+v, CFI %+v", pc, rule, row.CFA)
				reg := map[uint8]uint64{orcRegSP: rsp, orcRegBP: rbp}[rule.spReg]
				if rule.kind != orcCall || reg == 0 || row.CFA.Rule != frame.RuleCFA {
					continue
				}
				if row.CFA.Reg == reg && row.CFA.Offset == int64(rule.spOffset) {
					same++
				} else {
					f, _ := im.FuncAt(pc)
					differ[f.Name] = true
					t.Log(f.Name, at)
				}
			}
		}
		// A few functions have a stack that the compiler's own tables do not
		// follow (inline assembly that pushes).
		if same < 50_000 || len(differ) > 20 {
			t.Errorf("%d rules agree; functions where they differ: %v", same, differ)
		}
		t.Logf("%d rules agree", same)
	})
}

// TestVMLinuxLookups asks for what is special.
func TestVMLinuxLookups(t *testing.T) {
	eachVMLinux(t, func(t *testing.T, im *Image) {
		schedule, err := im.Symbol("schedule")
		if err != nil {
			t.Fatal(err)
		}
		if file, line, ok := im.Line(schedule.Addr); !ok || !strings.HasSuffix(file, "kernel/sched/core.c") || line == 0 {
			t.Errorf("Line(schedule) = %s, %d, %v", file, line, ok)
		}
		if copies, err := im.Inlined("slab_alloc_node", "kmem_cache_alloc_lru", "kmem_cache_alloc_lru_noprof"); err != nil || len(copies) == 0 {
			t.Errorf("Inlined = %v, %v", copies, err)
		}
		if v, err := im.Enum("MEMBLOCK_NOMAP", "memblock_add_node"); v != 4 || err != nil {
			t.Errorf("MEMBLOCK_NOMAP = %d, %v", v, err)
		}
		if s, err := im.Struct("atomic_t", "schedule"); err != nil || s.Size != 4 {
			t.Errorf("atomic_t: %+v, %v", s, err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	g := guests.Find(b, guests.Default)
	for b.Loop() {
		im, err := Open(g.VMLinux, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := im.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFullSearch(b *testing.B) {
	g := guests.Find(b, guests.Default)
	for b.Loop() {
		im, err := Open(g.VMLinux, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := im.Struct("no such structure"); err == nil {
			b.Fatal("found")
		}
		if err := im.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
