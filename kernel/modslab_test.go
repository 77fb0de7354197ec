package kernel

import (
	"bytes"
	"errors"
	"math/bits"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

// elfSymBytes encodes a symbol.
func (g *guest) elfSymBytes(name uint32, info byte, shndx uint16, value, size uint64) []byte {
	o := g.a.Order
	if g.a.WordSize == 4 {
		b := make([]byte, 16)
		o.PutUint32(b, name)
		o.PutUint32(b[4:], uint32(value))
		o.PutUint32(b[8:], uint32(size))
		b[12] = info
		o.PutUint16(b[14:], shndx)
		return b
	}
	b := make([]byte, 24)
	o.PutUint32(b, name)
	b[4] = info
	o.PutUint16(b[6:], shndx)
	o.PutUint64(b[8:], value)
	o.PutUint64(b[16:], size)
	return b
}

// module makes a module with everything.
func (g *guest) module(name string) guestmem.GVA {
	m := g.fresh(g.structs["module"].bytes)
	g.set("module", m, "state", 1)
	g.mem.Write(g.of("module", m, "name"), []byte(name))
	g.mem.Write(g.of("module", m, "build_id"), bytes.Repeat([]byte{0xab}, 20))
	part := func(i guestmem.GVA, size uint64) guestmem.GVA {
		at := g.fresh(size)
		p := g.of("module", m, "mem") + i*guestmem.GVA(g.structs["module_memory"].bytes)
		g.set("module_memory", p, "base", uint64(at))
		g.set("module_memory", p, "size", size)
		return at
	}
	text, data := part(0, 0x2000), part(5, 0x1000)

	names := []byte("\x00first\x00second\x00$x\x00undef\x00abs\x00")
	strtab := data + 0x800
	g.mem.Write(strtab, names)
	off := func(s string) uint32 { return uint32(bytes.Index(names, []byte(s+"\x00"))) }
	var tab []byte
	tab = append(tab, g.elfSymBytes(0, 0, 0, 0, 0)...)
	tab = append(tab, g.elfSymBytes(off("second"), 2, 1, uint64(text)+0x100, 0x20)...)
	tab = append(tab, g.elfSymBytes(off("first"), 2, 1, uint64(text)+0x10, 0x30)...)
	tab = append(tab, g.elfSymBytes(off("$x"), 0, 1, uint64(text), 0)...)
	tab = append(tab, g.elfSymBytes(off("undef"), 0x10, 0, uint64(text)+4, 0)...)
	tab = append(tab, g.elfSymBytes(off("abs"), 1, 0xfff1, 0x1234, 0)...)
	g.mem.Write(data, tab)
	kallsyms := g.of("module", m, "core_kallsyms")
	g.set("module", m, "kallsyms", uint64(kallsyms))
	g.set("kallsyms", kallsyms, "symtab", uint64(data))
	g.set("kallsyms", kallsyms, "num_symtab", 6)
	g.set("kallsyms", kallsyms, "strtab", uint64(strtab))

	sect := g.fresh(g.structs["module_sect_attrs"].bytes + 2*g.structs["module_sect_attr"].bytes)
	g.set("module_sect_attrs", sect, "nsections", 2)
	for i, s := range []string{".text", ".init.data"} {
		a := sect + guestmem.GVA(g.structs["module_sect_attrs"].bytes+uint64(i)*g.structs["module_sect_attr"].bytes)
		g.set("module_sect_attr", a, "battr.attr.name", uint64(g.text(s)))
		g.set("module_sect_attr", a, "address", uint64([]guestmem.GVA{text, data}[i]))
	}
	g.set("module", m, "sect_attrs", uint64(sect))

	g.set("module", m, "arch.num_orcs", 2)
	g.set("module", m, "arch.orc_unwind_ip", uint64(data)+0x900)
	g.set("module", m, "arch.orc_unwind", uint64(data)+0xa00)
	g.mem.Uint(data+0x900, 4, uint64(text-(data+0x900)))
	g.mem.Uint(data+0x904, 4, uint64(text+0x10-(data+0x904)))
	g.mem.Write(data+0xa00, []byte("ABCDEFabcdef"))
	return m
}

func TestModules(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		m := g.module("demo")
		g.chain(guestmem.GVA(g.syms["modules"].Addr+g.slide), g.of("module", m, "list"))
		k := g.kernel()
		mods, err := k.Modules()
		if err != nil || len(mods) != 1 {
			t.Fatalf("%d modules, %v", len(mods), err)
		}
		x := mods[0]
		if x.Name != "demo" || x.State != ModuleComing || len(x.Mem) != 2 || x.Mem[0].Kind != ModuleText || x.Mem[1].Kind != ModuleInitData || !x.Mem[1].Kind.Init() || x.BuildID[0] != 0xab {
			t.Errorf("module %+v", x)
		}
		text := x.Mem[0].Range.Start
		syms, err := k.ModuleSymbols(x)
		if err != nil || len(syms) != 2 || syms[0].Name != "first" || syms[0].Addr != uint64(text)+0x10 || syms[0].Size != 0x30 || !syms[0].Func || syms[1].Name != "second" {
			t.Errorf("symbols %+v, %v", syms, err)
		}
		sections, err := k.ModuleSections(x)
		if err != nil || len(sections) != 2 || sections[0] != (Section{".text", text}) || sections[1].Name != ".init.data" {
			t.Errorf("sections %+v, %v", sections, err)
		}
		orc, err := k.ModuleORC(x)
		if err != nil || orc.Len() != 2 || orc.IP(g.a.Order, 0) != text || orc.IP(g.a.Order, 1) != text+0x10 || string(orc.Entries) != "ABCDEFabcdef" {
			t.Errorf("ORC %+v, %v", orc, err)
		}
	})
}

func TestModuleListCycle(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		a, b := g.module("a"), g.module("b")
		head := guestmem.GVA(g.syms["modules"].Addr + g.slide)
		g.chain(head, g.of("module", a, "list"), g.of("module", b, "list"))
		g.mem.Word(g.of("module", b, "list"), uint64(g.of("module", a, "list"))) // b leads back to a
		mods, err := g.kernel().Modules()
		if !errors.Is(err, ErrInconsistent) || len(mods) != 2 {
			t.Errorf("%d modules, %v", len(mods), err)
		}
	})
}

// slabCache makes a cache of 64-byte objects in one slab of two pages from
// frame 16 on, of which CPU 0 allocates; objects 3 and 5 are on the slab's
// own free list, 7 and 8 on the CPU's, and the others in use.
func (g *guest) slabCache(swab bool) (cache guestmem.GVA) {
	const size, offset, random = 64, 32, 0x5aa5_1234
	cache = g.fresh(g.structs["kmem_cache"].bytes)
	g.chain(guestmem.GVA(g.syms["slab_caches"].Addr+g.slide), g.of("kmem_cache", cache, "list"))
	set := func(f string, v uint64) { g.set("kmem_cache", cache, f, v) }
	set("size", size)
	set("object_size", 56)
	set("offset", offset)
	set("random", random)
	set("name", uint64(g.text("demo-64")))
	set("cpu_slab", g.ptr(0x3c0))

	base := guestmem.GVA(g.a.Linux.DirectMap.Value) + 16*4096
	g.mem.Write(base, make([]byte, 2*4096))
	link := func(from, to int) {
		at := base + guestmem.GVA(from*size+offset)
		v := uint64(0)
		if to >= 0 {
			v = uint64(base) + uint64(to)*size
		}
		a := uint64(at)
		if swab {
			a = bits.ReverseBytes64(a)
			if g.a.WordSize == 4 {
				a >>= 32
			}
		}
		g.mem.Word(at, v^random^a)
	}
	link(3, 5)
	link(5, -1)
	link(7, 8)
	link(8, -1)
	head := g.desc(16)
	g.set("page", head, "flags", 1<<9)
	g.set("page", g.desc(17), "lru.next", uint64(head)+1)
	g.set("slab", head, "slab_cache", uint64(cache))
	g.set("slab", head, "freelist", uint64(base)+3*size)
	objects, inuse := uint64(128), uint64(126)
	g.mem.Uint(g.of("slab", head, "objects"), 4, objects<<16|inuse)
	cpu := g.unit(0) + 0x3c0
	g.set("kmem_cache_cpu", cpu, "freelist", uint64(base)+7*size)
	g.set("kmem_cache_cpu", cpu, "slab", uint64(head))
	return cache
}

// slabs reads the slabs.
func slabs(t *testing.T, k *Kernel) (*Slabs, error) {
	t.Helper()
	p, err := k.Pages()
	if err != nil {
		t.Fatal(err)
	}
	return k.Slabs(p)
}

func TestSlabs(t *testing.T) {
	for _, swab := range []bool{true, false} {
		each(t, func(t *testing.T, g *guest) {
			cache := g.slabCache(swab)
			k := g.kernel()
			s, err := slabs(t, k)
			if err != nil || s.Caches()[cache].Name != "demo-64" {
				t.Fatalf("caches %v, %v", s, err)
			}
			n := 0
			if err := s.Each(func(x *Slab) bool {
				n++
				if x.Objects != 128 || x.Used != 124 || x.Pages != 2 {
					t.Errorf("slab %+v", x)
				}
				for i := range x.Objects {
					if free := i == 3 || i == 5 || i == 7 || i == 8; x.Allocated(i) == free {
						t.Errorf("object %d: allocated is %v", i, !free)
					}
				}
				return true
			}); err != nil || n != 1 {
				t.Errorf("%d slabs, %v", n, err)
			}
			base := guestmem.GVA(g.a.Linux.DirectMap.Value) + 16*4096
			if x, i, err := s.Find(base + 4096 + 3*64 + 10); err != nil || i != 67 || x.Object(i) != base+67*64 {
				t.Errorf("found object %d, %v", i, err)
			}
			if _, _, err := s.Find(base - 1); err == nil {
				t.Error("found an object in a page that is no slab")
			}
		})
	}
}

// TestSlabBeingMade: the free list is not made yet, and no object is in use.
func TestSlabBeingMade(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		g.slabCache(true)
		head := g.desc(16)
		g.set("kmem_cache_cpu", g.unit(0)+0x3c0, "slab", 0)
		k := g.kernel()
		for _, list := range []string{"made in part", "not begun"} {
			g.mem.Uint(g.of("slab", head, "objects"), 4, 128<<16)
			if list == "not begun" {
				g.set("slab", head, "freelist", 0)
			}
			s, err := slabs(t, k)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			if err := s.Each(func(x *Slab) bool {
				n++
				if x.Used != 0 || x.Allocated(3) || x.Allocated(100) {
					t.Errorf("list %s: %d objects in use", list, x.Used)
				}
				return true
			}); err != nil || n != 1 {
				t.Errorf("list %s: %d slabs, %v", list, n, err)
			}
		}
	})
}

// TestSlabsOfDestroyedCache: the cache is on no list, but it is an object of
// the cache of caches, one page at frame 24.
func TestSlabsOfDestroyedCache(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		gone := g.slabCache(true)
		size := roundUp(g.structs["kmem_cache"].bytes, 64)
		own := g.fresh(g.structs["kmem_cache"].bytes)
		g.chain(guestmem.GVA(g.syms["slab_caches"].Addr+g.slide), g.of("kmem_cache", own, "list"))
		g.set("kmem_cache", own, "size", size)
		g.set("kmem_cache", own, "object_size", g.structs["kmem_cache"].bytes)
		g.set("kmem_cache", own, "name", uint64(g.text("kmem_cache")))
		base := guestmem.GVA(g.a.Linux.DirectMap.Value) + 24*4096
		g.mem.Write(base, make([]byte, 4096))
		object := base + 2*guestmem.GVA(size)
		content := make([]byte, g.structs["kmem_cache"].bytes)
		if err := guestmem.Read(g.mem, gone, content); err != nil {
			t.Fatal(err)
		}
		g.mem.Write(object, content)
		g.set("page", g.desc(24), "flags", 1<<9)
		g.set("slab", g.desc(24), "slab_cache", uint64(own))
		g.set("slab", g.desc(24), "freelist", 0)
		count := 4096 / size
		g.mem.Uint(g.of("slab", g.desc(24), "objects"), 4, count<<16|count)

		for _, x := range []struct {
			name   string
			cache  guestmem.GVA // of the slab at frame 16
			symbol bool
			ok     bool
		}{
			{"an object", object, true, true},
			{"within an object", object + 8, true, false},
			{"no slab", gone, true, false},
			{"unknown cache of caches", object, false, false},
		} {
			delete(g.syms, "kmem_cache")
			if x.symbol {
				g.mem.Word(g.sym("kmem_cache", uint64(g.a.WordSize)), uint64(own))
			}
			g.set("slab", g.desc(16), "slab_cache", uint64(x.cache))
			k := g.kernel()
			p, _ := k.Pages()
			s, err := k.Slabs(p)
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]int{}
			err = s.Each(func(sl *Slab) bool { names[sl.Cache.Name] = sl.Used; return true })
			if x.ok && (err != nil || names["demo-64"] != 124) || !x.ok && (!errors.Is(err, ErrInconsistent) || len(names) != 1) {
				t.Errorf("%s: slabs %v, %v", x.name, names, err)
			}
		}
	})
}

func TestSlabLies(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		g.slabCache(true)
		base := guestmem.GVA(g.a.Linux.DirectMap.Value) + 16*4096
		g.mem.Word(base+5*64+32, 0x1234_5678) // the free list leads astray
		k := g.kernel()
		p, _ := k.Pages()
		s, err := k.Slabs(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Each(func(*Slab) bool { t.Error("a broken slab is told of"); return true }); !errors.Is(err, ErrInconsistent) {
			t.Errorf("error %v", err)
		}
	})
}
