package symbols

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

// FuzzOpen asks everything of a file of any content. Nothing may panic.
func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob("testdata/*.[ek]*")
	if err != nil || len(files) == 0 {
		f.Fatalf("testdata: %v, %v", files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		im, err := newImage("file", data, &Options{Archs: rows()})
		if err != nil {
			return
		}
		exercise(im)
		if err := im.Close(); err != nil {
			t.Error(err)
		}
	})
}

func exercise(im *Image) {
	_, _ = im.Release()
	for i, s := range im.syms.all {
		if i > 64 {
			break
		}
		_, _ = im.Symbol(s.Name)
		_, _ = im.Func(s.Name)
		_, _ = im.FuncAt(s.Addr)
		_ = im.Read(s.Addr, make([]byte, 16))
		_, _, _ = im.Line(s.Addr)
	}
	for _, near := range [][]string{nil, {"function"}} {
		for _, name := range []string{"outer", "packed", "twin", "locked_t", "pt_regs"} {
			if s, err := im.Struct(name, near...); err == nil {
				_, _ = s.Field("many[1].high")
				_, _ = s.Field("bits3")
			}
		}
		_, _ = im.Enum("GREEN", near...)
		_, _ = im.Inlined("inlined", near...)
	}
	space := NewSpace(im, 1<<20)
	if u, err := space.Unwinder(); err == nil {
		var out [4]guestmem.GVA
		_, _ = u.Unwind(0, guestmem.GVA(im.syms.all[0].Addr+1<<20), testSP, testSP, make([]byte, 64), out[:])
	}
}

// TestDamagedFiles is FuzzOpen for one changed byte at many places, so that
// every run of the tests has it.
func TestDamagedFiles(t *testing.T) {
	for _, name := range []string{"amd64.elf", "zlib.elf", "powerpc.elf", "module.ko"} {
		good := testdata(t, name)
		step := 131
		if testing.Short() {
			step = 997
		}
		for at := 0; at < len(good); at += step {
			for _, x := range []byte{0xff, 0x01, 0x80} {
				b := append([]byte(nil), good...)
				b[at] ^= x
				if im, err := newImage(name, b, &Options{Archs: rows()}); err == nil {
					exercise(im)
				}
			}
			if im, err := newImage(name, good[:at], &Options{Archs: rows()}); err == nil {
				exercise(im)
			}
		}
	}
}

// TestDeepNesting reads debug entries that nest a hundred thousand deep, with
// little stack to do it.
func TestDeepNesting(t *testing.T) {
	// One abbreviation: number 1, DW_TAG_lexical_block, with children, no
	// attributes; the unit's first entry is one too.
	abbrev := []byte{1, 0x0b, 1, 0, 0, 0}
	const depth = 100_000
	info := binary.LittleEndian.AppendUint32(nil, 2+4+1+depth)
	info = append(info, 4, 0, 0, 0, 0, 0, 8)
	for range depth {
		info = append(info, 1)
	}
	im, err := newImage("file", withSections(t, map[string][]byte{".debug_info": info, ".debug_abbrev": abbrev}), nil)
	if err != nil {
		t.Fatal(err)
	}
	old := debug.SetMaxStack(1 << 20)
	defer debug.SetMaxStack(old)
	if s, err := im.Struct("nothing"); err == nil {
		t.Errorf("found %+v", s)
	}
}

// TestEntriesEnd reads units whose lists of children have no end: none is to be
// read on into the next unit, or there are as many entries to read as pairs of
// units. The last number of each unit has an end or, the second time, none.
func TestEntriesEnd(t *testing.T) {
	abbrev := []byte{1, 0x0b, 1, 0, 0, 0} // as in TestDeepNesting
	for _, last := range []byte{1, 0x80} {
		var info []byte
		for range 3 {
			info = binary.LittleEndian.AppendUint32(info, 2+4+1+3)
			info = append(info, 4, 0, 0, 0, 0, 0, 8, 1, 1, last)
		}
		im, err := newImage("file", withSections(t, map[string][]byte{".debug_info": info, ".debug_abbrev": abbrev}), nil)
		if err != nil {
			t.Fatal(err)
		}
		di, err := im.debug()
		if err != nil {
			t.Fatal(err)
		}
		r := di.unitEntries(di.units[1])
		n := 0
		for e, err := r.next(); e != nil; e, err = r.next() {
			if n++; err != nil || uint64(e.Offset) >= di.units[1].end || n > 100 {
				t.Fatalf("entry %d: %+v, %v", n, e, err)
			}
		}
		some := di.someEntries(3)
		first, err := some.at(di.units[0].die)
		if err != nil {
			t.Fatal(err)
		}
		if err := some.skipChildren(first); last == 1 && err != errEndless {
			t.Errorf("%v", err)
		}
	}
}

// withSections returns amd64.elf with other contents of some sections, which
// it appends.
func withSections(t testing.TB, contents map[string][]byte) []byte {
	t.Helper()
	b := testdata(t, "amd64.elf")
	im, err := newImage("file", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	table := binary.LittleEndian.Uint64(b[40:])
	for name, content := range contents {
		s := im.named(name)
		if s == nil {
			t.Fatalf("no section %s", name)
		}
		header := b[table+uint64(s.index)*64:]
		binary.LittleEndian.PutUint64(header[24:], uint64(len(b)))
		binary.LittleEndian.PutUint64(header[32:], uint64(len(content)))
		b = append(b, content...)
	}
	return b
}

// FuzzCache decodes a cache file of any content, also one whose checksum is
// right, and uses it.
func FuzzCache(f *testing.F) {
	f.Add([]byte(`{"structs":{"s":[{"s":8,"m":[{"n":"a","t":"int","s":4},{"t":"union {...}","i":1}]},{"u":true,"m":[{"n":"b","t":"x","i":1}]}]},"enums":{"e":1,"n":null},"inlined":{"f":[{"Start":1,"End":2}]}}`))
	f.Add([]byte(`{"structs":{"s":[{"m":[{"i":0},{"i":1},{"i":2}]},{"m":[{"i":2},{"i":2}]},{"m":[{"i":1},{"i":1}]}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeCache(body); err == nil {
			t.Error("a cache without a checksum was read")
		}
		a, err := decodeCache(append([]byte(cacheHeader(body)+"\n"), body...))
		if err != nil {
			return
		}
		for name, types := range a.Structs {
			if len(types) == 0 {
				continue
			}
			s := &Struct{Name: name, types: types}
			for _, m := range types[0].Members {
				_, _ = s.Field(m.Name)
				_, _ = s.Field(m.Name + "[1].b")
			}
			_, _ = s.Field("none")
		}
	})
}

// FuzzUnwind unwinds through any rules over any stack.
func FuzzUnwind(f *testing.F) {
	ip, entries := makeORC(testRules, testText+0x10000)
	var s stackBuilder
	s.push(code(0x110), 1, 1, testSP+0x60, code(0x510))
	s.regs(code(0x610), 0x10, testSP+0x100, 5, testSP+0x400)
	f.Add(ip, entries, s.b, uint64(0), uint64(testSP))
	f.Add(ip[:8], entries[:12], s.b[:20], uint64(4), uint64(0))
	u := testUnwinder(f)
	orc, ok := u.method.(*orcUnwinder)
	if !ok {
		f.Fatal("no ORC")
	}
	f.Fuzz(func(t *testing.T, ip, entries, stack []byte, at, fp uint64) {
		table, err := newORCTable(orc.table.layout, ip, entries, testText+0x10000)
		if err != nil {
			return
		}
		orc.table = table
		clear(orc.rows)
		for _, m := range []method{orc, newFrameWalker(orc.space)} {
			u.method = m
			var out [16]guestmem.GVA
			n, _ := u.Unwind(10, guestmem.GVA(code(at)), testSP, fp, stack, out[:])
			if n < 0 || n > len(out) {
				t.Fatalf("%d addresses", n)
			}
			for _, pc := range out[:n] {
				if !orc.space.maybeCode(uint64(pc)) {
					t.Errorf("%#x is no code", pc)
				}
			}
		}
	})
}
