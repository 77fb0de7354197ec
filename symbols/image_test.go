package symbols

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/microblaze"
	"github.com/leakvisor/leakvisor/arch/mips"
	"github.com/leakvisor/leakvisor/arch/sparc"
	"github.com/leakvisor/leakvisor/arch/tile"
	"github.com/leakvisor/leakvisor/arch/x86"
)

// rows are the architectures of testdata.
func rows() []*arch.Arch {
	row := func(name string, m elf.Machine, d elf.Data, order binary.ByteOrder) *arch.Arch {
		return &arch.Arch{
			Name: name, ELF: arch.ELF{Machine: m, Class: elf.ELFCLASS32, Data: d}, WordSize: 4, Order: order,
			Linux: arch.Linux{Text: 0xc000_0000},
		}
	}
	i386 := row("i386", elf.EM_386, elf.ELFDATA2LSB, binary.LittleEndian)
	i386.Regs = []arch.Reg{{Name: "esp", DWARF: 4, Size: 4}, {Name: "ebp", DWARF: 5, Size: 4}, {Name: "eip", DWARF: 8, Size: 4}}
	i386.Call = arch.Call{PC: "eip", SP: "esp", FP: "ebp"}
	return []*arch.Arch{x86.AMD64(), i386, tile.GX(), row("powerpc", elf.EM_PPC, elf.ELFDATA2MSB, binary.BigEndian), mips.MIPS32LE(), mips.MIPS64LE(),
		microblaze.MicroBlazeBE(), microblaze.MicroBlazeLE(), sparc.SPARC64()}
}

// modules are the testdata files that are not linked.
var modules = []string{"module.ko", "mipsel.ko", "mips64el.ko", "sparc64.ko", "microblaze.ko", "microblazeel.ko", "tilegx.ko"}

// linked are the testdata files with addresses.
var linked = []string{"amd64.elf", "dwarf4.elf", "zlib.elf", "zstd.elf", "split.elf", "i386.elf", "powerpc.elf", "ppc2.elf"}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, name string) *Image {
	t.Helper()
	im, err := Open(filepath.Join("testdata", name), &Options{Archs: rows()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := im.Close(); err != nil {
			t.Error(err)
		}
	})
	return im
}

func TestImage(t *testing.T) {
	for _, name := range linked {
		t.Run(name, func(t *testing.T) {
			im := open(t, name)
			if got := hex.EncodeToString(im.BuildID()); got != "00112233445566778899aabbccddeeff00112233" {
				t.Errorf("build ID %s", got)
			}
			if got, err := im.Release(); got != "6.1.0-test" || err != nil {
				t.Errorf("Release = %q, %v", got, err)
			}
			text, size, err := im.Section(".text")
			if err != nil || size == 0 {
				t.Errorf("Section(.text) = %#x, %d, %v", text, size, err)
			}
			start, err := im.Symbol("_text")
			if err != nil || start.Addr != text || start.Func {
				t.Errorf("Symbol(_text) = %+v, %v; .text is at %#x", start, err, text)
			}
			if _, _, err := im.Section(".debug_info"); !errors.Is(err, ErrNotFound) {
				t.Errorf("a section without an address: %v", err)
			}
			if !im.HasDebugInfo() {
				t.Error("no debug information")
			}
		})
	}
}

func TestReadAcrossTheEnd(t *testing.T) {
	im := open(t, "amd64.elf")
	text, size, err := im.Section(".text")
	if err != nil {
		t.Fatal(err)
	}
	ones := make([]byte, 24)
	if err := im.Read(text, ones); err != nil || !bytes.Equal(ones, bytes.Repeat([]byte{1}, 24)) {
		t.Errorf("Read = %x, %v", ones, err)
	}
	for _, at := range []uint64{0, text + size - 1, text - 1, ^uint64(0)} {
		if err := im.Read(at, make([]byte, 2)); !errors.Is(err, ErrNoContent) {
			t.Errorf("Read at %#x: %v", at, err)
		}
	}
	bss, size, err := im.Section(".bss")
	if err != nil || size == 0 {
		t.Fatal(err)
	}
	if err := im.Read(bss, make([]byte, 1)); !errors.Is(err, ErrNoContent) {
		t.Errorf("Read in .bss: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	good := testdata(t, "amd64.elf")
	boot := make([]byte, 1024)
	copy(boot[0x202:], "HdrS")
	copy(boot, "MZ")
	noSections := bytes.Clone(good)
	binary.LittleEndian.PutUint64(noSections[40:], 0)
	otherArch := bytes.Clone(good)
	binary.LittleEndian.PutUint16(otherArch[18:], uint16(elf.EM_ALPHA))
	for _, c := range []struct {
		name string
		data []byte
		want error
		hint string
	}{
		{"text", []byte("#!/bin/sh\n"), ErrNotELF, "vmlinux with debug symbols"},
		{"boot image", boot, ErrNotELF, "bzImage"},
		{"magic only", good[:4], ErrTruncated, "ELF header"},
		{"half", good[:len(good)/2], ErrTruncated, "again"},
		{"last byte", good[:len(good)-1], ErrTruncated, "again"},
		{"no section headers", noSections, ErrNoSymbols, "vmlinux"},
		{"stripped", without(t, good, ".symtab"), ErrNoSymbols, "stripped"},
		{"alpha", otherArch, ErrUnknownArch, "ALPHA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newImage("file", c.data, nil)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("error %v; want %v with %q", err, c.want, c.hint)
			}
		})
	}
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "missing"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Open(dir, nil); err == nil {
		t.Error("a folder can be opened")
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(empty, nil); !errors.Is(err, ErrNotELF) {
		t.Errorf("an empty file: %v", err)
	}
}

// TestCodeStripped reads a file as objcopy --only-keep-debug leaves it.
func TestCodeStripped(t *testing.T) {
	b := retyped(t, testdata(t, "amd64.elf"), ".text", elf.SHT_NOBITS)
	im, err := newImage("file", retyped(t, b, ".rodata", elf.SHT_NOBITS), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := im.Release(); !errors.Is(err, ErrNoContent) {
		t.Errorf("Release: %v", err)
	}
	if s, err := im.Struct("outer", "function"); err != nil || s.Size == 0 {
		t.Errorf("Struct: %v", err)
	}
	f, err := im.Symbol("function")
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := im.FuncAt(f.Addr + 1); !ok || s != f {
		t.Errorf("FuncAt = %+v, %v", s, ok)
	}
}

// without returns a copy of a file that lacks a section.
func without(t testing.TB, b []byte, name string) []byte {
	t.Helper()
	return retyped(t, b, name, elf.SHT_NULL)
}

// retyped returns a copy of a 64-bit little-endian ELF file in which one
// section is of another type.
func retyped(t testing.TB, b []byte, name string, typ elf.SectionType) []byte {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	table := binary.LittleEndian.Uint64(b[40:])
	for i, s := range f.Sections {
		if s.Name == name {
			binary.LittleEndian.PutUint32(b[table+uint64(i)*64+4:], uint32(typ))
			return b
		}
	}
	t.Fatalf("no section %s", name)
	return nil
}

func TestNoDebugInfo(t *testing.T) {
	im, err := newImage("file", without(t, testdata(t, "amd64.elf"), ".debug_info"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if im.HasDebugInfo() {
		t.Error("HasDebugInfo")
	}
	if _, err := im.Symbol("function"); err != nil {
		t.Error(err)
	}
	if _, err := im.Struct("outer"); !errors.Is(err, ErrNoDebugInfo) {
		t.Errorf("Struct: %v", err)
	}
	if _, err := im.Enum("GREEN"); !errors.Is(err, ErrNoDebugInfo) {
		t.Errorf("Enum: %v", err)
	}
	if _, err := im.Inlined("function"); !errors.Is(err, ErrNoDebugInfo) {
		t.Errorf("Inlined: %v", err)
	}
	if _, _, ok := im.Line(0xffffffff81000000); ok {
		t.Error("Line")
	}
}

// TestCutWhileOpen cuts a mapped file short: what then faults is an error.
func TestCutWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmlinux")
	if err := os.WriteFile(path, testdata(t, "amd64.elf"), 0o600); err != nil {
		t.Fatal(err)
	}
	im, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Struct("outer"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Struct: %v", err)
	}
	text, _, err := im.Section(".text")
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Read(text, make([]byte, 8)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read: %v", err)
	}
}

func TestBuildIDNotes(t *testing.T) {
	note := func(name string, typ uint32, desc string) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(desc)))
		b = binary.BigEndian.AppendUint32(b, typ)
		for _, s := range []string{name, desc} {
			b = append(b, s...)
			b = append(b, make([]byte, -len(s)&3)...)
		}
		return b
	}
	xen, id := note("Xen\x00", 3, "12345"), note("GNU\x00", 3, "abcde")
	for _, c := range []struct {
		in   []byte
		want string
	}{
		{append(bytes.Clone(xen), id...), "abcde"},
		{append(note("GNU\x00", 4, "go"), xen...), ""},
		{id[:len(id)-4], ""},
		{nil, ""},
	} {
		if got := gnuBuildID(c.in, binary.BigEndian); string(got) != c.want {
			t.Errorf("gnuBuildID(%x) = %q, want %q", c.in, got, c.want)
		}
	}
}
