package qemu

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/arch/mips"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// mipsGuest writes an ELF file whose code begins with a jump to main, gives
// each register a value of its own there, and then stays at hook.
func mipsGuest(t *testing.T, a *arch.Arch) (path string, main, hook guestmem.GVA) {
	const base, header = 0x8010_0000, 52 + 32
	code := []uint32{0x10000003, 0, 0, 0} // b main; nop
	main = base + 4*guestmem.GVA(len(code))
	for reg := uint32(1); reg < 32; reg++ {
		v := mipsValue(reg)
		code = append(code, 0x3c000000|reg<<16|v>>16, 0x34000000|reg<<21|reg<<16|v&0xffff) // lui, ori
	}
	hook = base + 4*guestmem.GVA(len(code))
	code = append(code, 0x1000ffff, 0) // b hook; nop
	var b bytes.Buffer
	size := uint32(4 * len(code))
	for _, part := range []any{
		elf.Header32{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(a.ELF.Class), byte(a.ELF.Data), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_MIPS), Version: uint32(elf.EV_CURRENT),
			Entry: base, Phoff: 52, Ehsize: 52, Phentsize: 32, Phnum: 1, Flags: 0x70001001, // mips32r2, o32
		},
		elf.Prog32{Type: uint32(elf.PT_LOAD), Off: header, Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Flags: 7, Align: 4},
		code,
	} {
		if err := binary.Write(&b, a.Order, part); err != nil {
			t.Fatal(err)
		}
	}
	path = filepath.Join(t.TempDir(), "guest.elf")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, main, hook
}

func mipsValue(reg uint32) uint32 { return reg<<24 | 0x00a1b200 | reg }

// TestRegistersByNumber: where QEMU lists no registers to plugins, the plugin
// has the same values as the gdb stub; and the kernel may begin later than the
// first code.
func TestRegistersByNumber(t *testing.T) {
	for _, a := range []*arch.Arch{mips.MIPS32LE(), mips.MIPS32BE()} {
		t.Run(a.Name, func(t *testing.T) {
			if _, err := exec.LookPath(a.QEMU.Binary); err != nil {
				t.Skipf("missing on this host: %s", a.QEMU.Binary)
			}
			path, main, hook := mipsGuest(t, a)
			m := start(t, Config{Arch: a, Kernel: path, MemoryBytes: 64 << 20, CacheDir: testCache(t)})
			done := errors.New("seen")
			asked := 0
			h := &handler{
				plan: func(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
					if asked++; pc != main {
						return nil, nil
					}
					return &hv.Plan{Hooks: []hv.Hook{{Name: "hook", Entry: hook, Sync: true}}}, nil
				},
				event: func(ev *hv.Event) error {
					if err := m.Pause(context.Background()); err != nil {
						return err
					}
					regs, err := m.Registers(context.Background(), 0)
					if err != nil {
						return err
					}
					for name, got := range map[string]uint64{
						"a0": ev.Args[0], "a1": ev.Args[1], "a2": ev.Args[2], "a3": ev.Args[3],
						"sp": uint64(ev.SP), "s8": ev.FP, "ra": uint64(ev.Return),
					} {
						r, _ := a.Reg(name)
						if want := uint64(mipsValue(uint32(r.GDB))); got != want || regs[name] != want {
							t.Errorf("%s: the plugin has %#x, the gdb stub %#x, want %#x", name, got, regs[name], want)
						}
					}
					if pc := guestmem.GVA(regs["pc"]); pc < hook || pc > hook+4 {
						t.Errorf("the program counter is %#x, the hook %#x", pc, hook)
					}
					return done
				},
			}
			if err := m.Run(limited(t), h); !errors.Is(err, done) {
				t.Fatal(err)
			}
			if asked != 2 {
				t.Errorf("asked %d times for the kernel's entry", asked)
			}
		})
	}
}
