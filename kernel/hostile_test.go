package kernel

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// liar is a guest memory of which every word is made up when it is read,
// out of the things that lead readers astray: pointers to more lies,
// pointers to themselves, counts of all sizes, nothing.
type liar struct {
	a    *arch.Arch
	seed uint64
	span uint64 // pointers lead into so many bytes
}

func mix(x uint64) uint64 { // splitmix64
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (l *liar) word(at uint64) uint64 {
	h := mix(at ^ l.seed)
	switch h >> 60 {
	case 0, 1, 2, 3, 4:
		return l.a.Linux.DirectMap.Value + h%l.span&^7
	case 5:
		return l.a.Linux.Vmemmap.Value + h%l.span&^63
	case 6:
		return at
	case 7:
		return h >> (8 + h%52)
	case 8, 9, 10:
		return h & 0xff
	case 11:
		return 0xffff_ff7f
	case 12:
		return ^uint64(0) - h%4096
	case 13:
		return h
	}
	return 0
}

func (l *liar) View(gva guestmem.GVA, n int) ([]byte, error) {
	if mix(uint64(gva)>>12^l.seed)%16 == 0 || uint64(gva) > ^uint64(8191) {
		return nil, &guestmem.AddressError{Addr: uint64(gva), Reason: "a lie"}
	}
	n = min(max(n, 1), 4096-int(gva&4095))
	w := l.a.WordSize
	start := uint64(gva) &^ uint64(w-1)
	b := make([]byte, 0, n+2*w)
	for at := start; at < uint64(gva)+uint64(n); at += uint64(w) {
		if w == 8 {
			b = l.a.Order.(binary.AppendByteOrder).AppendUint64(b, l.word(at))
		} else {
			b = l.a.Order.(binary.AppendByteOrder).AppendUint32(b, uint32(l.word(at)))
		}
	}
	off := int(uint64(gva) - start)
	return b[off : off+n], nil
}

func (l *liar) ViewPhys(gpa guestmem.GPA, n int) ([]byte, error) {
	return l.View(guestmem.GVA(gpa)+guestmem.GVA(l.a.Linux.DirectMap.Value), n)
}

func (l *liar) RAM() []guestmem.Range[guestmem.GPA] {
	return []guestmem.Range[guestmem.GPA]{{Start: 0x1000, End: 0x1001}, {Start: 0x2000, End: fakeRAM}}
}

// readAll calls every reader.
func readAll(k *Kernel) {
	_, _ = k.CPUs()
	if a, _ := k.PerCPUAreas(); a != nil {
		for i := range a.Chunks {
			for cpu := range a.CPUs[:min(len(a.CPUs), len(a.Units))] {
				_ = a.Static(cpu)
				for _, r := range a.Chunks[i].Allocated {
					_ = a.Range(&a.Chunks[i], cpu, r)
				}
			}
		}
	}
	tasks, _ := k.Tasks()
	_, _ = k.Stacks(tasks, []map[string]uint64{{"sp": 1}, {"sp": k.arch.Linux.DirectMap.Value + 0x5000}, nil})
	_, _ = k.CPUStacks()
	_, _ = k.CachedStacks()
	mods, _ := k.Modules()
	for _, m := range mods {
		_, _ = k.ModuleSymbols(m)
		_, _ = k.ModuleSections(m)
		if o, _ := k.ModuleORC(m); o != nil && o.Len() > 0 {
			_ = o.IP(k.arch.Order, o.Len()-1)
		}
	}
	p, _ := k.Pages()
	if p == nil {
		p = &Pages{mm: &memoryMap{pageSize: 4096, descSize: 64, maxFrames: 1}}
	}
	if s, _ := k.Slabs(p); s != nil {
		_ = s.Each(func(x *Slab) bool { _, _, _ = s.Find(x.Object(0)); return true })
	}
	_, _ = k.VmapAreas()
	_, _ = k.Memblock()
	_, _ = k.Uptime()
	_, _, _ = k.Uname()
	_, _ = k.Banner()
	_, _ = k.BuildID()
}

// FuzzLies reads guests that are nothing but lies.
func FuzzLies(f *testing.F) {
	for seed := range uint64(6) {
		f.Add(seed, seed%3, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, seed, span uint64, big bool) {
		i := 0
		if big {
			i = 1
		}
		a := fakeArchs()[i]
		g := newGuest(t, a)
		g.world()
		g.addVariants()
		l := &liar{a: a, seed: seed, span: 0x1000 << (span % 16)}
		k, err := newKernel(l, l, g, g.slide)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		readAll(k)
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// FuzzDamage reads a guest of which some words are lies.
func FuzzDamage(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint16(1)<<seed, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, every uint16, big bool) {
		i := 0
		if big {
			i = 1
		}
		g := newGuest(t, fakeArchs()[i])
		g.world()
		g.slabCache(seed%2 == 0)
		m := g.module("demo")
		g.chain(guestmem.GVA(g.syms["modules"].Addr+g.slide), g.of("module", m, "list"))
		k, err := newKernel(&damaged{g.mem, &liar{a: g.a, seed: seed, span: fakeRAM}, uint64(every) + 2}, g.ram, g, g.slide)
		if err != nil {
			t.Fatal(err)
		}
		readAll(k)
	})
}

// damaged is a memory of which one word in every is a lie.
type damaged struct {
	guestmem.Memory
	lies  *liar
	every uint64
}

func (d *damaged) View(gva guestmem.GVA, n int) ([]byte, error) {
	b, err := d.Memory.View(gva, n)
	if err != nil {
		return nil, err
	}
	b = append([]byte(nil), b...)
	w := d.lies.a.WordSize
	for i := 0; i+w <= len(b); i++ {
		at := uint64(gva) + uint64(i)
		if at%uint64(w) != 0 || mix(at+d.lies.seed)%d.every != 0 {
			continue
		}
		if w == 8 {
			d.lies.a.Order.PutUint64(b[i:], d.lies.word(at))
		} else {
			d.lies.a.Order.PutUint32(b[i:], uint32(d.lies.word(at)))
		}
	}
	return b, nil
}
