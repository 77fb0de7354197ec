package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/leakvisor/leakvisor/guestmem"
)

// Bounds for modules.
const (
	maxModules    = 1 << 12
	maxModuleSize = 1 << 30 // MODULES_LEN is at most 1.5 GiB on x86-64
)

// ModuleState is enum module_state.
type ModuleState uint8

// Module states.
const (
	ModuleUnformed ModuleState = iota + 1 // being set up: nothing in it is final
	ModuleComing                          // complete, its init function has not returned
	ModuleLive
	ModuleGoing // its exit function runs or has run
)

func (s ModuleState) String() string {
	switch s {
	case ModuleUnformed:
		return "unformed"
	case ModuleComing:
		return "coming"
	case ModuleLive:
		return "live"
	case ModuleGoing:
		return "going"
	}
	return fmt.Sprintf("module state %d", uint8(s))
}

// ModuleMemKind is what a part of a module's memory holds.
type ModuleMemKind uint8

// Kinds of module memory: those of enum mod_mem_type (6.4).
const (
	ModuleText ModuleMemKind = iota + 1
	ModuleData
	ModuleROData
	ModuleROAfterInit
	ModuleInitText
	ModuleInitData
	ModuleInitROData
)

// Init says whether the part is freed when the init function has returned.
func (m ModuleMemKind) Init() bool { return m >= ModuleInitText }

// Data says whether the part can hold pointers to allocations.
func (m ModuleMemKind) Data() bool {
	return m == ModuleData || m == ModuleROAfterInit || m == ModuleInitData
}

func (m ModuleMemKind) String() string {
	names := [...]string{"", "text", "data", "rodata", "ro_after_init", "init text", "init data", "init rodata"}
	if int(m) < len(names) && m > 0 {
		return names[m]
	}
	return fmt.Sprintf("module memory kind %d", uint8(m))
}

// ModuleMem is one part of a module's memory.
type ModuleMem struct {
	Kind  ModuleMemKind
	Range guestmem.Range[guestmem.GVA]
}

// Module is one loaded module.
type Module struct {
	Addr  guestmem.GVA // of the struct module, which lies in the module's data
	Name  string
	State ModuleState
	Mem   []ModuleMem // no empty ones
	// PerCPU is the per-CPU pointer of the module's static per-CPU
	// variables, PerCPUSize their size in bytes; zero if it has none.
	PerCPU     uint64
	PerCPUSize uint64
	// BuildID is the GNU build ID, nil if neither the kernel keeps it nor
	// the module's notes can be read.
	BuildID []byte
}

// Contains says whether an address is in the module's memory.
func (m *Module) Contains(a guestmem.GVA) bool {
	for _, p := range m.Mem {
		if p.Range.Contains(a) {
			return true
		}
	}
	return false
}

type moduleLayout struct {
	present             bool
	list, name, state   member
	states              map[int64]ModuleState
	percpu, percpuSize  member
	buildID             member // optional, 5.14
	kallsyms, core      member // struct mod_kallsyms * (4.5); the one kept
	symtab, num, strtab member // in mod_kallsyms
	typetab             bool   // st_info is the ELF file's own (5.2)
	layouts             []moduleOldLayout
	mem                 member // 6.4
	memBase, memSize    member
	memStride           uint64
	memKinds            map[uint64]ModuleMemKind
	sects               sectLayout
	orcNum, orcIP, orc  member
	orcEntry            uint64
	eh                  ehLayout
}

// moduleOldLayout is a struct module_layout (4.5 to 6.3).
type moduleOldLayout struct {
	base, size, text, ro, roAfter member
	init                          bool
	dataOnly                      bool
}

func newModuleLayout(l *layout) moduleLayout {
	var m moduleLayout
	if m.present = l.has("modules"); !m.present {
		return m // no CONFIG_MODULES
	}
	l.find("module", nearModule...)
	m.list = l.need("module", "list")
	m.name = l.need("module", "name")
	m.state = l.need("module", "state")
	m.percpu, _ = l.opt("module", "percpu")
	m.percpuSize, _ = l.opt("module", "percpu_size")
	m.buildID, _ = l.opt("module", "build_id")
	m.states = map[int64]ModuleState{}
	for name, s := range map[string]ModuleState{"MODULE_STATE_LIVE": ModuleLive, "MODULE_STATE_COMING": ModuleComing,
		"MODULE_STATE_GOING": ModuleGoing, "MODULE_STATE_UNFORMED": ModuleUnformed} {
		m.states[l.needConstant(name, nearModule...)] = s
	}
	m.kallsyms, _ = l.opt("module", "kallsyms")
	m.core, _ = l.opt("module", "core_kallsyms")
	if m.kallsyms.Size > 0 {
		l.find("mod_kallsyms", nearModule...)
		m.symtab = l.need("mod_kallsyms", "symtab")
		m.num = l.need("mod_kallsyms", "num_symtab")
		m.strtab = l.need("mod_kallsyms", "strtab")
		_, m.typetab = l.opt("mod_kallsyms", "typetab")
	}
	m.memory(l)
	m.sects = newSectLayout(l)
	m.eh = newEHLayout(l)
	m.orcNum, _ = l.opt("module", "arch.num_orcs")
	m.orcIP, _ = l.opt("module", "arch.orc_unwind_ip")
	m.orc, _ = l.opt("module", "arch.orc_unwind")
	if m.orcNum.Size > 0 && l.find("orc_entry", "unwind_module_init") != nil {
		m.orcEntry = l.size("orc_entry")
	}
	return m
}

// memory finds how a module's memory is described.
func (m *moduleLayout) memory(l *layout) {
	var ok bool
	if m.mem, ok = l.opt("module", "mem"); ok {
		l.find("module_memory", nearModule...)
		m.memBase = l.need("module_memory", "base")
		m.memSize = l.need("module_memory", "size")
		m.memStride = l.size("module_memory")
		m.memKinds = map[uint64]ModuleMemKind{}
		for name, kind := range map[string]ModuleMemKind{
			"MOD_TEXT": ModuleText, "MOD_DATA": ModuleData, "MOD_RODATA": ModuleROData, "MOD_RO_AFTER_INIT": ModuleROAfterInit,
			"MOD_INIT_TEXT": ModuleInitText, "MOD_INIT_DATA": ModuleInitData, "MOD_INIT_RODATA": ModuleInitROData,
		} {
			m.memKinds[uint64(l.needConstant(name, nearModule...))] = kind
		}
		return
	}
	for _, name := range []string{"core_layout", "init_layout", "data_layout"} {
		base, ok := l.opt("module", name+".base")
		if !ok {
			if name != "data_layout" {
				l.missing["struct module."+name] = true
			}
			continue
		}
		old := moduleOldLayout{base: base, size: l.need("module", name+".size"), init: name == "init_layout", dataOnly: name == "data_layout"}
		old.text = l.need("module", name+".text_size")
		old.ro = l.need("module", name+".ro_size")
		old.roAfter, _ = l.opt("module", name+".ro_after_init_size")
		m.layouts = append(m.layouts, old)
	}
}

// Modules lists the modules, the latest first, those being loaded or unloaded
// included. With an error it returns those that it could read.
func (k *Kernel) Modules() ([]*Module, error) {
	if !k.lay.module.present {
		return nil, nil
	}
	head, _ := k.Addr("modules")
	var out []*Module
	var first error
	err := k.list(head, maxModules, func(node guestmem.GVA) bool {
		m, err := k.Module(node - guestmem.GVA(k.lay.module.list.Offset))
		if err != nil {
			if first == nil {
				first = err
			}
			return true
		}
		out = append(out, m)
		return true
	})
	if err != nil {
		err = fmt.Errorf("modules: %w", err)
	}
	return out, errors.Join(err, first)
}

// Module reads the struct module at addr.
func (k *Kernel) Module(addr guestmem.GVA) (*Module, error) {
	lay := &k.lay.module
	if !lay.present {
		return nil, fmt.Errorf("modules: %w", ErrUnsupported)
	}
	r := k.at(addr)
	m := &Module{Addr: addr, Name: r.text(lay.name), PerCPU: r.get(lay.percpu), PerCPUSize: r.get(lay.percpuSize)}
	state := r.get(lay.state)
	var err error
	m.Mem, err = k.moduleMem(r)
	if r.err != nil {
		return nil, fmt.Errorf("module at %#x: %w", uint64(addr), r.err)
	}
	if err != nil {
		return nil, fmt.Errorf("module %q: %w", m.Name, err)
	}
	var ok bool
	if m.State, ok = lay.states[int64(state)]; !ok {
		return nil, inconsistent("module %q has state %d", m.Name, state)
	}
	if m.PerCPUSize == 0 || m.PerCPUSize > maxModuleSize {
		m.PerCPU, m.PerCPUSize = 0, 0
	}
	m.BuildID = k.moduleBuildID(m)
	return m, nil
}

// moduleMem reads where a module is.
func (k *Kernel) moduleMem(r *record) ([]ModuleMem, error) {
	lay := &k.lay.module
	var out []ModuleMem
	var bad error
	add := func(kind ModuleMemKind, base guestmem.GVA, start, end uint64) {
		if base == 0 || end <= start {
			return
		}
		if end > maxModuleSize || uint64(base)+end < uint64(base) {
			bad = inconsistent("%s of %#x bytes", kind, end)
			return
		}
		out = append(out, ModuleMem{kind, guestmem.Range[guestmem.GVA]{Start: base + guestmem.GVA(start), End: base + guestmem.GVA(end)}})
	}
	for i := range min(lay.mem.Count, 64) {
		kind, ok := lay.memKinds[i]
		if !ok {
			continue
		}
		part := &record{k: k, base: r.addr(lay.mem) + guestmem.GVA(i*lay.memStride), err: r.err}
		base, size := part.ptr(lay.memBase), part.get(lay.memSize)
		r.err = part.err
		add(kind, base, 0, size)
	}
	for _, o := range lay.layouts {
		base, size := r.ptr(o.base), r.get(o.size)
		text, ro, roAfter := r.get(o.text), r.get(o.ro), r.get(o.roAfter)
		// struct module_layout: each size is counted from base and includes
		// the parts before. A layout without read-only parts has zeros.
		ro = max(ro, text)
		roAfter = max(roAfter, ro)
		if o.init {
			add(ModuleInitText, base, 0, text)
			add(ModuleInitROData, base, text, ro)
			add(ModuleInitData, base, ro, size)
			continue
		}
		add(ModuleText, base, 0, text)
		add(ModuleROData, base, text, ro)
		add(ModuleROAfterInit, base, ro, roAfter)
		add(ModuleData, base, roAfter, size)
	}
	return out, bad
}

// moduleBuildID returns what struct module keeps, or else what the module's
// note section says.
func (k *Kernel) moduleBuildID(m *Module) []byte {
	lay := &k.lay.module
	if n := lay.buildID.Size; n > 0 && n <= 64 {
		b := make([]byte, n)
		if guestmem.Read(k.mem, m.Addr+guestmem.GVA(lay.buildID.Offset), b) == nil && !zero(b) {
			return b
		}
	}
	sections, _ := k.ModuleSections(m)
	for _, s := range sections {
		if s.Name == ".note.gnu.build-id" {
			if id, err := k.note(guestmem.Range[guestmem.GVA]{Start: s.Addr, End: s.Addr + 128}); err == nil {
				return id
			}
		}
	}
	return nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// ORC is a module's unwind table: Entries[i] holds from the address that
// IPs[i] gives on. Both are sorted by address.
type ORC struct {
	// IPs are the raw int32 values in guest byte order: each is relative to
	// its own address, IPAddr + 4*i.
	IPs    []byte
	IPAddr guestmem.GVA
	// Entries are the raw struct orc_entry, EntrySize bytes each.
	Entries   []byte
	EntrySize int
}

// maxORC bounds the number of unwind rows of a module.
const maxORC = 1 << 22

// IP returns the address from which on entry i holds.
func (o *ORC) IP(order binary.ByteOrder, i int) guestmem.GVA {
	at := o.IPAddr + guestmem.GVA(4*i)
	return at + guestmem.GVA(int64(int32(order.Uint32(o.IPs[4*i:]))))
}

// Len returns the number of entries.
func (o *ORC) Len() int { return len(o.IPs) / 4 }

// ModuleORC reads a module's ORC table, nil if it has none.
func (k *Kernel) ModuleORC(m *Module) (*ORC, error) {
	lay := &k.lay.module
	if lay.orcNum.Size == 0 || lay.orcEntry == 0 {
		return nil, nil
	}
	r := k.at(m.Addr)
	n, ips, entries := r.get(lay.orcNum), r.ptr(lay.orcIP), r.ptr(lay.orc)
	if r.err != nil {
		return nil, fmt.Errorf("module %q: %w", m.Name, r.err)
	}
	if n == 0 {
		return nil, nil
	}
	if n > maxORC || !m.Contains(ips) || !m.Contains(entries) {
		return nil, inconsistent("module %q has %d unwind rows at %#x", m.Name, n, uint64(entries))
	}
	o := &ORC{IPs: make([]byte, 4*n), IPAddr: ips, Entries: make([]byte, lay.orcEntry*n), EntrySize: int(lay.orcEntry)}
	if err := guestmem.Read(k.mem, ips, o.IPs); err != nil {
		return nil, fmt.Errorf("module %q: unwind addresses: %w", m.Name, err)
	}
	if err := guestmem.Read(k.mem, entries, o.Entries); err != nil {
		return nil, fmt.Errorf("module %q: unwind rows: %w", m.Name, err)
	}
	return o, nil
}
