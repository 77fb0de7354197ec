package kvm

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/leakvisor/leakvisor/guestmem"
)

func testRAM(t testing.TB, size int) *ram {
	t.Helper()
	r, err := newRAM(guestmem.Piece{Data: make([]byte, size)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// image makes a bzImage with a setup of one sector and the given protected
// mode part, whose payload are its bytes from and to.
func image(code []byte, from, to uint32) []byte {
	b := make([]byte, 1024, 1024+len(code))
	le := binary.LittleEndian
	b[0x1f1] = 1
	le.PutUint16(b[0x1fe:], 0xaa55)
	copy(b[0x202:], "HdrS")
	le.PutUint16(b[0x206:], 0x20f)
	b[0x211] = 1
	le.PutUint32(b[0x22c:], 0x7fffffff)
	le.PutUint16(b[0x236:], xlfKernel64)
	le.PutUint32(b[0x238:], 2047)
	le.PutUint32(b[0x248:], from)
	le.PutUint32(b[0x24c:], to-from)
	le.PutUint64(b[0x258:], 0x200000)
	le.PutUint32(b[0x260:], 0x100000)
	return append(b, code...)
}

// decompressor is code that ends as a kernel's does.
func decompressor() []byte {
	code := bytes.Repeat([]byte{0x90}, 512)
	copy(code[100:], []byte{0xe8, 1, 2, 3, 4, 0x4c, 0x89, 0xfe, 0xff, 0xe0})
	return code
}

func load(r *ram, kernel, initrd []byte, command string) (*start, error) {
	return loadKernel(r, bytes.NewReader(kernel), int64(len(kernel)), initrd, command, 1)
}

func TestLoadBzImage(t *testing.T) {
	r := testRAM(t, 16<<20)
	initrd := bytes.Repeat([]byte("initrd"), 1000)
	s, err := load(r, image(decompressor(), 200, 300), initrd, "console=ttyS0")
	if err != nil {
		t.Fatal(err)
	}
	if s.rip != kernelAddr+0x200 || s.jump != kernelAddr+108 || s.jumpN != 2 {
		t.Errorf("start %+v", s)
	}
	params := r.at(zeroPage, pageSize)
	le := binary.LittleEndian
	at := le.Uint32(params[0x218:])
	if got := r.at(guestmem.GPA(at), len(initrd)); !bytes.Equal(got, initrd) || le.Uint32(params[0x21c:]) != uint32(len(initrd)) || at%pageSize != 0 {
		t.Errorf("initrd at %#x", at)
	}
	if got := r.at(guestmem.GPA(le.Uint32(params[0x228:])), 14); string(got) != "console=ttyS0\x00" {
		t.Errorf("command line %q", got)
	}
	if n := params[0x1e8]; n != 4 {
		t.Errorf("%d ranges of memory", n)
	}
}

func TestLoadErrors(t *testing.T) {
	twice := decompressor()
	copy(twice[50:], twice[100:110])
	old := image(decompressor(), 200, 300)
	binary.LittleEndian.PutUint16(old[0x206:], 0x20a)
	for _, c := range []struct {
		name    string
		kernel  []byte
		initrd  int
		command int
		want    string
	}{
		{"nothing", nil, 0, 0, "reading the kernel"},
		{"text", []byte(strings.Repeat("kernel", 1000)), 0, 0, "neither"},
		{"cut", image(decompressor(), 200, 300)[:900], 0, 0, "neither"},
		{"old", old, 0, 0, "64-bit entry"},
		{"no jump", image(make([]byte, 512), 0, 10), 0, 0, "uncompressed"},
		{"two jumps", image(twice, 200, 300), 0, 0, "more than one"},
		{"payload outside", image(decompressor(), 200, 9000), 0, 0, "uncompressed"},
		{"long command line", image(decompressor(), 200, 300), 0, 3000, "at most 2047"},
		{"longer command line", image(decompressor(), 200, 300), 0, maxCommand, "command line"},
		{"large initrd", image(decompressor(), 200, 300), 15 << 20, 0, "more memory"},
	} {
		_, err := load(testRAM(t, 16<<20), c.kernel, make([]byte, c.initrd), strings.Repeat("x", c.command))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := load(testRAM(t, minMemory/2), image(decompressor(), 200, 300), nil, ""); err == nil || !strings.Contains(err.Error(), "more memory") {
		t.Errorf("little memory: %v", err)
	}
}

func FuzzLoadKernel(f *testing.F) {
	f.Add(image(decompressor(), 200, 300), []byte("initrd"))
	f.Add([]byte("\x7fELF"), []byte{})
	elf := make([]byte, 120)
	copy(elf, "\x7fELF\x02\x01\x01")
	elf[18], elf[16], elf[20] = 62, 2, 1
	f.Add(elf, []byte{})
	r := testRAM(f, 8<<20)
	f.Fuzz(func(t *testing.T, kernel, initrd []byte) {
		if s, err := load(r, kernel, initrd, "quiet"); err == nil && s.jumpN > 0 && r.at(guestmem.GPA(s.jump), s.jumpN) == nil {
			t.Fatalf("the last jump is at %#x", s.jump)
		}
	})
}

func TestLayout(t *testing.T) {
	for size, want := range map[uint64]int{64 << 20: 1, 3 << 30: 1, 3<<30 + pageSize: 2, 8 << 30: 2} {
		r := layout(size)
		total := uint64(0)
		for _, p := range r {
			total += p.Size()
			if p.Start < holeEnd && p.End > holeStart {
				t.Errorf("%d bytes: memory in the hole, %v", size, r)
			}
		}
		if len(r) != want || total != size {
			t.Errorf("%d bytes: %v", size, r)
		}
	}
}
