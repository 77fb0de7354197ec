package kernel

import (
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/symbols"
)

// ehLayout is how 32-bit ARM keeps a module's unwind tables (arch/arm/include/
// asm/{module,unwind}.h): in a list since 5.18.
type ehLayout struct {
	list, node, start, stop member
}

func newEHLayout(l *layout) ehLayout {
	var e ehLayout
	if !l.has("__start_unwind_idx") {
		return e
	}
	l.find("module", nearModule...)
	l.find("unwind_table", "unwind_table_add", "load_module")
	e.list, _ = l.opt("module", "arch.unwind_list")
	e.node, _ = l.opt("unwind_table", "mod_list")
	e.start, _ = l.opt("unwind_table", "start")
	e.stop, _ = l.opt("unwind_table", "stop")
	return e
}

// maxEH bounds the size of one of a module's unwind tables, in bytes.
const maxEH = 8 << 20

// ModuleEH reads a module's unwind tables by ARM's exception handling ABI; nil
// where the kernel has none.
func (k *Kernel) ModuleEH(m *Module) ([]*symbols.EHTable, error) {
	lay := &k.lay.module.eh
	if lay.list.Size == 0 || lay.node.Size == 0 || lay.start.Size == 0 || lay.stop.Size == 0 {
		return nil, nil
	}
	read := func(addr uint64, buf []byte) error { return guestmem.Read(k.mem, guestmem.GVA(addr), buf) }
	const maxTables = 16
	var out []*symbols.EHTable
	var bad error
	err := k.list(m.Addr+guestmem.GVA(lay.list.Offset), maxTables, func(node guestmem.GVA) bool {
		r := k.at(node - guestmem.GVA(lay.node.Offset))
		start, stop := r.ptr(lay.start), r.ptr(lay.stop)
		if bad = r.err; bad == nil && (stop < start || stop-start > maxEH) {
			bad = inconsistent("module %q has an unwind table from %#x to %#x", m.Name, uint64(start), uint64(stop))
		}
		if bad != nil {
			return false
		}
		index := make([]byte, stop-start)
		if bad = guestmem.Read(k.mem, start, index); bad != nil {
			return false
		}
		var t *symbols.EHTable
		if t, bad = symbols.ReadEHTable(k.arch, index, uint64(start), read); bad != nil {
			return false
		}
		out = append(out, t)
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return out, fmt.Errorf("unwind tables of module %q: %w", m.Name, err)
	}
	return out, nil
}
