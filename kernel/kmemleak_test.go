package kernel

import (
	"errors"
	"reflect"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

func TestKmemleak(t *testing.T) {
	each(t, func(t *testing.T, g *guest) {
		if _, err := g.kernel().Kmemleak(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("without kmemleak: %v", err)
		}
		g.def(kmemleakRecord, "flags:4", "object_list:list_head", "rcu:list_head", "use_count:4", "pointer:w", "size:w", "min_count:4", "count:4", "jiffies:w")
		g.sym("kmemleak_alloc", 8)
		start := ^uint64(0) - 1000 // the clock is about to wrap
		if g.a.WordSize == 4 {
			start = uint64(uint32(start))
		}
		wrap := func(v uint64) uint64 {
			if g.a.WordSize == 4 {
				return uint64(uint32(v))
			}
			return v
		}
		g.word("jiffies_last_scan", wrap(start+5000))
		g.word("jiffies_min_age", 1250)
		head := g.sym("object_list", uint64(2*g.a.WordSize))
		var nodes []guestmem.GVA
		add := func(pointer, flags, jiffies uint64, minCount, count int32) {
			at := g.fresh(g.structs[kmemleakRecord].bytes)
			g.set(kmemleakRecord, at, "pointer", pointer)
			g.set(kmemleakRecord, at, "size", 64)
			g.set(kmemleakRecord, at, "flags", flags)
			g.set(kmemleakRecord, at, "jiffies", wrap(jiffies))
			g.set(kmemleakRecord, at, "min_count", uint64(uint32(minCount)))
			g.set(kmemleakRecord, at, "count", uint64(uint32(count)))
			nodes = append(nodes, g.of(kmemleakRecord, at, "object_list"))
		}
		add(0x1000, 3, start, 1, 0)
		add(0x2000, 1, start+4000, 1, 0)
		add(0x3000, 1, start, -1, 2)
		add(0x4000, 1|1<<4, start, 0, 0) // a physical address
		g.chain(head, nodes...)
		got, err := g.kernel().Kmemleak()
		want := map[guestmem.GVA]KmemleakObject{
			0x1000: {Pointer: 0x1000, Size: 64, MinCount: 1, Jiffies: wrap(start), Reported: true},
			0x2000: {Pointer: 0x2000, Size: 64, MinCount: 1, Jiffies: wrap(start + 4000), TooYoung: true},
			0x3000: {Pointer: 0x3000, Size: 64, MinCount: -1, Count: 2, Jiffies: wrap(start)},
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v\nwant %+v", got, err, want)
		}
		g.mem.Word(nodes[3], uint64(nodes[1])) // a cycle
		if _, err := g.kernel().Kmemleak(); !errors.Is(err, ErrInconsistent) {
			t.Errorf("a list that comes back: %v", err)
		}
	})
}
