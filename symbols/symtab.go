package symbols

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// symtab is the symbol table, by name and by address.
type symtab struct {
	all    []Symbol // by address, then in the file's order
	source []int32  // of each: which source file it is local to, zero for none
	byName map[string][]int32
	clones map[string][]int32 // functions with a suffix, by the name before it
	code   []int32            // what FuncAt finds: one symbol an address, ascending
	end    []uint64           // where each of code's symbols ends at most
}

// readSymtab reads the symbol table itself rather than by debug/elf, which
// makes a string and 80 bytes of each of a vmlinux's 120,000 symbols.
func (im *Image) readSymtab() (*symtab, error) {
	var sec *section
	for i := range im.sections {
		if im.sections[i].typ == elf.SHT_SYMTAB {
			sec = &im.sections[i]
		}
	}
	if sec == nil {
		return nil, fmt.Errorf("%w: the file is stripped; give the one from the kernel's debug symbol package", ErrNoSymbols)
	}
	raw, err := im.content(sec)
	if err != nil {
		return nil, err
	}
	if sec.link <= 0 || sec.link >= len(im.sections) || im.sections[sec.link].typ != elf.SHT_STRTAB {
		return nil, fmt.Errorf("%w: the symbol table has no string table", ErrCorrupt)
	}
	rawNames, err := im.content(&im.sections[sec.link])
	if err != nil {
		return nil, err
	}
	names := string(rawNames) // one copy, which all symbols' names share

	size := 24
	if im.elf.Class == elf.ELFCLASS32 {
		size = 16
	}
	if len(raw)%size != 0 {
		return nil, fmt.Errorf("%w: the symbol table's size %d is no multiple of %d", ErrCorrupt, len(raw), size)
	}
	t := &symtab{all: make([]Symbol, 0, len(raw)/size)}
	type extra struct {
		label  bool // may be code
		source int32
	}
	extras := make([]extra, 0, len(raw)/size)
	order := im.elf.ByteOrder
	files := int32(0) // local symbols follow that of their source file
	for ; len(raw) > 0; raw = raw[size:] {
		var name, shndx uint32
		var info, other uint8
		var value, length uint64
		name = order.Uint32(raw)
		if size == 24 {
			info, other, shndx = raw[4], raw[5], uint32(order.Uint16(raw[6:]))
			value, length = order.Uint64(raw[8:]), order.Uint64(raw[16:])
		} else {
			value, length = uint64(order.Uint32(raw[4:])), uint64(order.Uint32(raw[8:]))
			info, other, shndx = raw[12], raw[13], uint32(order.Uint16(raw[14:]))
		}
		typ := elf.SymType(info & 15)
		if typ == elf.STT_FILE {
			files++
		}
		if name == 0 || uint64(name) >= uint64(len(names)) || elf.SectionIndex(shndx) == elf.SHN_UNDEF ||
			typ == elf.STT_FILE || typ == elf.STT_SECTION || typ == elf.STT_TLS {
			continue
		}
		n := names[name:]
		if i := strings.IndexByte(n, 0); i >= 0 {
			n = n[:i]
		}
		if n = strings.TrimPrefix(n, im.arch.Linux.SymbolPrefix); n == "" {
			continue
		}
		var x extra
		switch {
		case shndx < uint32(len(im.sections)):
			s := &im.sections[shndx]
			x.label = s.flags&elf.SHF_EXECINSTR != 0
			if im.elf.Type == elf.ET_REL {
				value += s.addr
			}
		case elf.SectionIndex(shndx) == elf.SHN_COMMON:
			continue
		}
		if elf.SymBind(info>>4) == elf.STB_LOCAL {
			x.source = files
		}
		t.all = append(t.all, Symbol{Name: n, Addr: value, Size: length, Func: typ == elf.STT_FUNC, Local: im.localEntry(other)})
		x.label = x.label && (typ == elf.STT_FUNC || typ == elf.STT_NOTYPE) && !ignored(n)
		extras = append(extras, x)
	}
	if len(t.all) == 0 {
		return nil, fmt.Errorf("%w: the table is empty", ErrNoSymbols)
	}
	perm := make([]int32, len(t.all))
	for i := range perm {
		perm[i] = int32(i)
	}
	slices.SortFunc(perm, func(a, b int32) int {
		return cmp.Or(cmp.Compare(t.all[a].Addr, t.all[b].Addr), cmp.Compare(a, b))
	})
	sorted := make([]Symbol, len(perm))
	t.source = make([]int32, len(perm))
	t.byName = make(map[string][]int32, len(perm))
	t.clones = map[string][]int32{}
	links := make([]int32, len(perm)) // one array for almost all lists of byName
	for i, p := range perm {
		s := t.all[p]
		sorted[i], t.source[i] = s, extras[p].source
		if old, ok := t.byName[s.Name]; ok {
			t.byName[s.Name] = append(old, int32(i))
		} else {
			links[i] = int32(i)
			t.byName[s.Name] = links[i : i+1 : i+1]
		}
		if s.Func {
			if base := baseName(s.Name); base != s.Name {
				t.clones[base] = append(t.clones[base], int32(i))
			}
		}
		if extras[p].label {
			t.addCode(sorted, int32(i))
		}
	}
	t.all = sorted
	t.end = make([]uint64, len(t.code))
	for i := range t.code {
		s := &t.all[t.code[i]]
		limit := s.Addr + s.Size
		if sec := im.sectionAt(s.Addr); sec != nil {
			limit = sec.addr + sec.size
		}
		if i+1 < len(t.code) {
			limit = min(limit, t.all[t.code[i+1]].Addr)
		}
		t.end[i] = limit
	}
	return t, nil
}

// localEntry decodes st_other (ELFv2 ABI for Power 1.4, section 3.4.1): from
// 2 on the three topmost bits are log2 of a number of bytes.
func (im *Image) localEntry(other uint8) uint64 {
	if n := other >> 5; im.arch.Call.LocalEntry && n >= 2 && n < 7 {
		return 1 << n
	}
	return 0
}

// addCode puts the i-th symbol, which is not below those before it, into the
// list of code symbols. Of several at one address the best name wins, by the
// rules of the kernel's own scripts/kallsyms.c (compare_symbols) as far as
// they apply: real functions before labels, then fewer leading underscores.
func (t *symtab) addCode(all []Symbol, i int32) {
	if n := len(t.code); n > 0 {
		old, s := &all[t.code[n-1]], &all[i]
		if old.Addr == s.Addr {
			if better(s, old) {
				t.code[n-1] = i
			}
			return
		}
	}
	t.code = append(t.code, i)
}

func better(a, b *Symbol) bool {
	if a.Func != b.Func {
		return a.Func
	}
	if (a.Size > 0) != (b.Size > 0) {
		return a.Size > 0
	}
	return underscores(a.Name) < underscores(b.Name)
}

func underscores(s string) int { return len(s) - len(strings.TrimLeft(s, "_")) }

// ignored says whether a label is no name of code: mapping symbols of ARM and
// others, local labels (scripts/kallsyms.c, is_ignored_symbol).
func ignored(name string) bool {
	return name[0] == '$' || strings.HasPrefix(name, ".L") || strings.HasPrefix(name, "L0") || strings.HasPrefix(name, "__crc_")
}

// baseName cuts the suffixes that compilers give to clones and parts.
func baseName(name string) string {
	if i := strings.IndexByte(name, '.'); i > 0 {
		return name[:i]
	}
	return name
}

// Symbols returns all symbols of a name, by address.
func (im *Image) Symbols(name string) []Symbol {
	var out []Symbol
	for _, i := range im.syms.byName[name] {
		out = append(out, im.syms.all[i])
	}
	return out
}

// Symbol returns the symbol of a name. Several at one address are one; at
// several addresses they are an AmbiguousError. It wraps ErrNotFound.
func (im *Image) Symbol(name string) (Symbol, error) {
	list := im.Symbols(name)
	if len(list) == 0 {
		return Symbol{}, im.notFound("symbol", name)
	}
	s := list[0]
	for _, o := range list[1:] {
		if o.Addr != s.Addr {
			return Symbol{}, fmt.Errorf("%s: %w", im.path, &AmbiguousError{Name: name, Addrs: addrs(list)})
		}
		if better(&o, &s) {
			s = o
		}
	}
	return s, nil
}

func addrs(list []Symbol) []uint64 {
	var out []uint64
	for _, s := range list {
		if len(out) == 0 || out[len(out)-1] != s.Addr {
			out = append(out, s.Addr)
		}
	}
	return out
}

// Func returns a function with its clones and parts. Any of them may exist
// alone. It wraps ErrNotFound, and AmbiguousError where a name stands for code
// in several places, or static functions of several source files share it.
func (im *Image) Func(name string) (Func, error) {
	t := im.syms
	var list []int32
	for _, i := range t.byName[name] {
		if t.all[i].Func {
			list = append(list, i)
		}
	}
	list = append(list, t.clones[name]...)
	f := Func{Name: name}
	where := map[string]uint64{}
	seen := map[uint64]bool{}
	source := int32(0)
	ambiguous := false
	for _, i := range list {
		s := t.all[i]
		at, ok := where[s.Name]
		ambiguous = ambiguous || ok && at != s.Addr
		where[s.Name] = s.Addr
		if from := t.source[i]; from != 0 {
			ambiguous = ambiguous || source != 0 && source != from
			source = from
		}
		if seen[s.Addr] {
			continue
		}
		seen[s.Addr] = true
		if strings.Contains(s.Name[len(name):], ".cold") {
			f.Cold = append(f.Cold, s)
		} else {
			f.Entries = append(f.Entries, s)
		}
	}
	if ambiguous {
		return Func{}, fmt.Errorf("%s: %w", im.path, &AmbiguousError{Name: name, Addrs: addrs(append(f.Entries, f.Cold...))})
	}
	if len(f.Entries) == 0 {
		return Func{}, im.notFound("function", name)
	}
	return f, nil
}

// FuncAt returns the function that addr lies in, which goes before a label
// inside it. An assembly label without a size reaches to the next symbol, and
// its Size says so. Between functions there is none.
func (im *Image) FuncAt(addr uint64) (Symbol, bool) {
	t := im.syms
	last := t.search(addr)
	for i := last; i >= 0 && i > last-16; i-- {
		if s := t.all[t.code[i]]; s.Func && addr-s.Addr < s.Size {
			return s, true
		}
	}
	s, _, ok := t.codeAt(addr)
	if !ok || addr-s.Addr >= s.Size {
		return Symbol{}, false
	}
	return s, true
}

// search returns the index in code of the last symbol at or before addr, -1
// for none.
func (t *symtab) search(addr uint64) int {
	return sort.Search(len(t.code), func(i int) bool { return t.all[t.code[i]].Addr > addr }) - 1
}

// codeAt returns the code symbol at or before addr, in the same section, with
// the distance to the next one: its size as the kernel's own symbol table has
// it, padding included.
func (t *symtab) codeAt(addr uint64) (s Symbol, size uint64, ok bool) {
	i := t.search(addr)
	if i < 0 || addr >= t.end[i] {
		return Symbol{}, 0, false
	}
	s = t.all[t.code[i]]
	size = t.end[i] - s.Addr
	if s.Size == 0 {
		s.Size = size
	}
	return s, size, true
}
