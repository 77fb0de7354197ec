package tilegx

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/hv"
	"github.com/leakvisor/leakvisor/hv/emu"
	"github.com/leakvisor/leakvisor/xtest/programs"
)

// inst is an instruction for a pipeline, with operands as Inst.Args has them.
type inst struct {
	pipe int
	op   Op
	args []int64
}

func x0(op Op, args ...int64) inst { return inst{pipeX0, op, args} }
func x1(op Op, args ...int64) inst { return inst{pipeX1, op, args} }
func y0(op Op, args ...int64) inst { return inst{pipeY0, op, args} }
func y1(op Op, args ...int64) inst { return inst{pipeY1, op, args} }
func y2(op Op, args ...int64) inst { return inst{pipeY2, op, args} }

// assemble makes a bundle; pipelines that are left out do nothing.
func assemble(t testing.TB, insts ...inst) uint64 {
	t.Helper()
	given := map[int]inst{}
	for _, in := range insts {
		given[in.pipe] = in
	}
	pipes := []int{pipeX0, pipeX1}
	if insts[0].pipe >= pipeY0 {
		pipes = []int{pipeY0, pipeY1, pipeY2}
	}
	bundle := uint64(0)
	for _, p := range pipes {
		in, ok := given[p]
		switch {
		case !ok && p == pipeY2:
			in = y2(opPrefetch, zeroReg)
		case !ok:
			in = inst{p, opFnop, nil}
		}
		bundle |= encode(t, in)
	}
	for _, in := range Decode(bundle) {
		if in.Op == opNone {
			t.Fatalf("%v is no bundle: %s", insts, Text(bundle, 0))
		}
	}
	return bundle
}

func encode(t testing.TB, in inst) uint64 {
	t.Helper()
	for _, e := range encodings[in.pipe] {
		if e.op != in.op {
			continue
		}
		bits := e.match
		for k, n := range e.operands {
			o, v := &operands[n], uint64(in.args[k])
			if o.kind == address {
				v = uint64(in.args[k] / bundleSize)
			}
			bits |= v&uint64(o.mask)<<o.shift | v&uint64(o.mask2)<<o.shift2
		}
		return bits
	}
	t.Fatalf("%s is not for pipeline %d", in.op, in.pipe)
	return 0
}

// image is an ELF file with code at address 0x10000.
func image(bundles ...uint64) []byte {
	var code []byte
	for _, b := range bundles {
		code = binary.LittleEndian.AppendUint64(code, b)
	}
	var b bytes.Buffer
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: 191, Version: 1, Entry: 0x10000, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	p := elf.Prog64{Type: uint32(elf.PT_LOAD), Off: 120, Vaddr: 0x10000, Paddr: 0x10000, Filesz: uint64(len(code)), Memsz: uint64(len(code))}
	_ = binary.Write(&b, binary.LittleEndian, &h)
	_ = binary.Write(&b, binary.LittleEndian, &p)
	b.Write(code)
	return b.Bytes()
}

// machine runs bundles, behind which there is a nap for ever.
func machine(t testing.TB, bundles ...uint64) (*emu.Machine, *CPU) {
	t.Helper()
	var cpu *CPU
	isa := ISA()
	inner := isa.NewCPU
	isa.NewCPU = func(bus *emu.Bus, breaks *emu.Breaks, vcpu int) emu.CPU {
		c := inner(bus, breaks, vcpu)
		cpu, _ = c.(*CPU)
		return c
	}
	nap := assemble(t, x1(opNap))
	m, err := emu.New(isa, &emu.Config{Kernel: bytes.NewReader(image(append(bundles, nap, nap, nap, nap)...)), Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return m, cpu
}

// step runs bundles until the guest waits for ever; then its error says so.
func step(t testing.TB, m *emu.Machine) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := m.Run(ctx, programs.Unhooked{})
	if err != nil && strings.Contains(err.Error(), "wait for an interrupt") {
		return nil
	}
	if !errors.As(err, new(*hv.ExitError)) {
		t.Fatal(err)
	}
	return err
}

// What instructions make of r1 = a and r2 = b in r0, which has d before. The
// names are those of UG401's chapters.
func TestResults(t *testing.T) {
	const (
		min32 = 0xffffffff_80000000
		ones  = ^uint64(0)
	)
	for _, c := range []struct {
		in      inst
		d, a, b uint64
		want    uint64
	}{
		// Arithmetic
		{in: x0(opAdd, 0, 1, 2), a: ones, b: 2, want: 1},
		{in: x1(opAddx, 0, 1, 2), a: 0x7fffffff, b: 1, want: min32},
		{in: x0(opAddxi, 0, 1, -1), a: 0x1_00000000, want: ones},
		{in: x1(opAddli, 0, 1, -32768), a: 1, want: ones - 32766},
		{in: x0(opAddxli, 0, 1, 1), a: 0x7fffffff, want: min32},
		{in: x0(opAddxsc, 0, 1, 2), a: 0x7fffffff, b: 1, want: 0x7fffffff},
		{in: x0(opSub, 0, 1, 2), a: 1, b: 2, want: ones},
		{in: x1(opSubx, 0, 1, 2), a: min32, b: 1, want: 0x7fffffff},
		{in: x1(opSubxsc, 0, 1, 2), a: min32, b: 1, want: min32},
		{in: y0(opShl1add, 0, 1, 2), a: 3, b: 1, want: 7},
		{in: x0(opShl2addx, 0, 1, 2), a: 0x20000000, b: 0, want: min32},
		{in: y1(opShl3add, 0, 1, 2), a: 3, b: 1, want: 25},
		{in: x0(opMovei, 0, -5), want: ones - 4},
		{in: x1(opMoveli, 0, 0x1234), want: 0x1234},
		{in: x0(opShl16insli, 0, 1, -1), a: 1, want: 0x1ffff},
		// Compare
		{in: x0(opCmpeq, 0, 1, 2), a: 5, b: 5, want: 1},
		{in: x0(opCmpne, 0, 1, 2), a: 5, b: 5, want: 0},
		{in: y0(opCmplts, 0, 1, 2), a: ones, b: 0, want: 1},
		{in: y0(opCmpltu, 0, 1, 2), a: ones, b: 0, want: 0},
		{in: x1(opCmples, 0, 1, 2), a: 1, b: 1, want: 1},
		{in: x1(opCmpleu, 0, 1, 2), a: 2, b: 1, want: 0},
		{in: x0(opCmpltui, 0, 1, -1), a: 7, want: 1}, // the number's sign is extended
		{in: x0(opCmpltsi, 0, 1, -1), a: 7, want: 0},
		{in: x0(opCmoveqz, 0, 1, 2), d: 3, a: 0, b: 9, want: 9},
		{in: x0(opCmovnez, 0, 1, 2), d: 3, a: 0, b: 9, want: 3},
		{in: x0(opMz, 0, 1, 2), a: 0, b: 9, want: 9},
		{in: y1(opMnz, 0, 1, 2), a: 0, b: 9, want: 0},
		// Logical
		{in: x0(opAndi, 0, 1, -16), a: 0xff, want: 0xf0},
		{in: x0(opNor, 0, 1, 2), a: 1, b: 2, want: ones - 3},
		{in: x1(opXori, 0, 1, -1), a: 1, want: ones - 1},
		{in: x0(opShl, 0, 1, 2), a: 1, b: 65, want: 2},
		{in: x0(opShlx, 0, 1, 2), a: 1, b: 31, want: min32},
		{in: x0(opShrs, 0, 1, 2), a: 1 << 63, b: 63, want: ones},
		{in: x0(opShru, 0, 1, 2), a: 1 << 63, b: 63, want: 1},
		{in: x0(opShrux, 0, 1, 2), a: ones, b: 0, want: ones},
		{in: x0(opShruxi, 0, 1, 4), a: ones, want: 0x0fffffff},
		{in: x0(opRotl, 0, 1, 2), a: 1<<63 | 1, b: 1, want: 3},
		// Bit manipulation
		{in: x0(opBfextu, 0, 1, 8, 15), a: 0x12f456, want: 0xf4},
		{in: x0(opBfexts, 0, 1, 8, 15), a: 0x12f456, want: ones - 0xb},
		{in: x0(opBfextu, 0, 1, 60, 3), a: 0x90000000_00000005, want: 0x59}, // around the end
		{in: x0(opBfins, 0, 1, 8, 15), d: ones, a: 0x12, want: ones - 0xed00},
		{in: x0(opMm, 0, 1, 8, 15), d: ones, a: 0x1200, want: ones - 0xed00},
		{in: x0(opMm, 0, 1, 60, 3), d: 0, a: ones, want: 0xf0000000_0000000f},
		{in: x0(opClz, 0, 1), a: 1, want: 63},
		{in: y0(opCtz, 0, 1), a: 0, want: 64},
		{in: x0(opPcnt, 0, 1), a: 0xff00ff, want: 16},
		{in: x0(opRevbits, 0, 1), a: 1, want: 1 << 63},
		{in: y0(opRevbytes, 0, 1), a: 0x0102, want: 0x0201 << 48},
		{in: x0(opTblidxb1, 0, 1), d: ones, a: 0x1200, want: ones&^0x3fc | 0x48},
		{in: x0(opShufflebytes, 0, 1, 2), d: 0x0706050403020100, a: 0x1716151413121110, b: 0x08090a0b00010203, want: 0x1011121300010203},
		{in: x0(opDblalign, 0, 1, 2), d: 0x0807060504030201, a: 0x100f0e0d0c0b0a09, b: 3, want: 0x0b0a090807060504},
		{in: x1(opDblalign2, 0, 1, 2), a: 0x1111, b: 0x22222222_00000000, want: 0x11112222_22220000},
		// Multiply
		{in: x0(opMulHsLu, 0, 1, 2), a: ones, b: 7, want: ones - 6},
		{in: x0(opMulHuLu, 0, 1, 2), a: ones, b: 7, want: 7 * 0xffffffff},
		{in: x0(opMulLsLs, 0, 1, 2), a: 0xffffffff, b: 0xffffffff, want: 1},
		{in: y0(opMulLuLu, 0, 1, 2), a: 0xffffffff, b: 0xffffffff, want: 0xfffffffe00000001},
		{in: x0(opMulaHuHu, 0, 1, 2), d: 5, a: 3 << 32, b: 4 << 32, want: 17},
		{in: x0(opMulax, 0, 1, 2), d: 1, a: 0x10000, b: 0x8000, want: 0xffffffff_80000001},
		{in: y0(opMulx, 0, 1, 2), a: 0x10000, b: 0x10000, want: 0},
		// SIMD
		{in: x0(opV1add, 0, 1, 2), a: 0xff01, b: 0x0102, want: 0x0003},
		{in: x0(opV1adduc, 0, 1, 2), a: 0xff01, b: 0x0102, want: 0xff03},
		{in: x0(opV1subuc, 0, 1, 2), a: 0x0105, b: 0x0202, want: 0x0003},
		{in: x1(opV1cmpeq, 0, 1, 2), a: 0x0105, b: 0x0205, want: 0x01010101_01010001},
		{in: x1(opV1cmpltui, 0, 1, 2), a: 0x0105, want: 0x01010101_01010100},
		{in: x0(opV1mnz, 0, 1, 2), a: 0x0500, b: 0xabcd, want: 0xab00},
		{in: x0(opV1shli, 0, 1, 4), a: 0x1234, want: 0x2040},
		{in: x0(opV1shrsi, 0, 1, 4), a: 0x80f0, want: 0xf8ff},
		{in: x0(opV1intL, 0, 1, 2), a: 0x04030201, b: 0x14131211, want: 0x0414031302120111},
		{in: x0(opV2intH, 0, 1, 2), a: 0x00020001_00000000, b: 0x00120011_00000000, want: 0x0002001200010011},
		{in: x0(opV2packl, 0, 1, 2), a: 0x1104110311021101, b: 0x2208220722062205, want: 0x0403020108070605},
		{in: x0(opV2packh, 0, 1, 2), a: 0x1104110311021101, b: 0x2208220722062205, want: 0x1111111122222222},
		{in: x0(opV4packsc, 0, 1, 2), a: 0x00010000_ffff0000, b: 0x00000007_fffffff9, want: 0x7fff8000_0007fff9},
		{in: x0(opV2adiffs, 0, 1, 2), a: 0x0001, b: 0xffff, want: 2},
		{in: x0(opV2maxsi, 0, 1, -1), a: 0xfffe0003, want: 0xffff0003},
		{in: x0(opV2muls, 0, 1, 2), a: 0xffff0002, b: 0x00030005, want: 0xfffffffd_0000000a},
		{in: x0(opV1sadu, 0, 1, 2), a: 0x0305, b: 0x0501, want: 6},
		{in: x0(opV4shlsc, 0, 1, 2), a: 0x40000000, b: 2, want: 0x7fffffff},
	} {
		m, cpu := machine(t, assemble(t, c.in))
		cpu.r[0], cpu.r[1], cpu.r[2] = c.d, c.a, c.b
		if err := step(t, m); err != nil {
			t.Error(err)
			continue
		}
		if cpu.r[0] != c.want {
			t.Errorf("%s of %#x, %#x and %#x is %#x, want %#x", Text(assemble(t, c.in), 0), c.a, c.b, c.d, cpu.r[0], c.want)
		}
		if cpu.r[zeroReg] != 0 {
			t.Errorf("%s: the zero register is %#x", c.in.op, cpu.r[zeroReg])
		}
	}
}

// "Bundles": all registers are read before any is written.
func TestBundles(t *testing.T) {
	for _, c := range []struct {
		name  string
		insts []inst
		want  [4]uint64 // r0 to r3, which begin as 10, 11, 12, 0x10000
	}{
		{"swap", []inst{x0(opMove, 0, 1), x1(opMove, 1, 0)}, [4]uint64{11, 10, 12, 0x10000}},
		{"rotate", []inst{y0(opMove, 0, 1), y1(opAddi, 1, 0, 1), y2(opPrefetch, 3)}, [4]uint64{11, 11, 12, 0x10000}},
		{"store", []inst{x0(opAddi, 0, 0, 8), x1(opSt, 3, 0)}, [4]uint64{18, 11, 12, 0x10000}},
		{"store and increment", []inst{x0(opMove, 1, 3), x1(opStAdd, 3, 1, 8)}, [4]uint64{10, 0x10000, 12, 0x10008}},
		{"load and increment", []inst{x0(opMove, 2, 3), x1(opLdAdd, 0, 3, -8)}, [4]uint64{0x12345678, 11, 0x10000, 0xfff8}},
		{"branch", []inst{x0(opMove, 0, zeroReg), x1(opBnez, 0, 16)}, [4]uint64{0, 11, 12, 0x10000}},
		{"zero", []inst{x0(opAddi, zeroReg, 0, 1), x1(opAdd, 1, zeroReg, zeroReg)}, [4]uint64{10, 0, 12, 0x10000}},
		{"zero kept", []inst{x0(opCmoveqz, zeroReg, zeroReg, 1), x1(opMove, 1, zeroReg)}, [4]uint64{10, 0, 12, 0x10000}},
		{"zero not incremented", []inst{x0(opMove, 1, 0), x1(opPrefetchAddL1, zeroReg, 8)}, [4]uint64{10, 10, 12, 0x10000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bundle := assemble(t, c.insts...)
			m, cpu := machine(t, bundle)
			cpu.r[0], cpu.r[1], cpu.r[2], cpu.r[3] = 10, 11, 12, 0x20000
			if err := cpu.bus.Store(0x20000, 8, 0x12345678); err != nil {
				t.Fatal(err)
			}
			if err := step(t, m); err != nil {
				t.Fatal(err)
			}
			want := c.want
			for i := range want {
				if want[i] >= 0xfff8 && want[i] <= 0x10008 {
					want[i] += 0x10000
				}
			}
			if got := [4]uint64(cpu.r[:4]); got != want || cpu.r[zeroReg] != 0 {
				t.Errorf("%s: %#x, want %#x", Text(bundle, 0), got, want)
			}
		})
	}
}

// "Memory": sizes, signs and what is atomic. r1 is the address of a word, r2
// and the register to compare with have a value.
func TestMemory(t *testing.T) {
	const word = 0x8877665544332291
	for _, c := range []struct {
		in                inst
		b, compare        uint64
		want, memory, inc uint64
	}{
		{in: x1(opLd1s, 0, 1), want: 0xffffffffffffff91, memory: word},
		{in: x1(opLd1u, 0, 1), want: 0x91, memory: word},
		{in: x1(opLd2s, 0, 1), want: 0x2291, memory: word},
		{in: y2(opLd4s, 0, 1), want: 0x44332291, memory: word},
		{in: x1(opLdnt, 0, 1), want: word, memory: word},
		{in: x1(opLd2uAdd, 0, 1, 2), want: 0x2291, memory: word, inc: 2},
		{in: x1(opSt1, 1, 2), b: 0x1ff, memory: word&^0xff | 0xff},
		{in: y2(opSt4, 1, 2), b: 1 << 40, memory: word &^ 0xffffffff},
		{in: x1(opSt2Add, 1, 2, -2), b: 0, memory: word &^ 0xffff, inc: ^uint64(1)},
		{in: x1(opExch, 0, 1, 2), b: 3, want: word, memory: 3},
		{in: x1(opExch4, 0, 1, 2), b: 3, want: 0x44332291, memory: word&^0xffffffff | 3},
		{in: x1(opCmpexch, 0, 1, 2), b: 3, compare: word, want: word, memory: 3},
		{in: x1(opCmpexch, 0, 1, 2), b: 3, compare: 1, want: word, memory: word},
		{in: x1(opCmpexch4, 0, 1, 2), b: 3, compare: 0xffffffff_44332291, want: 0x44332291, memory: word&^0xffffffff | 3},
		{in: x1(opFetchadd, 0, 1, 2), b: 1, want: word, memory: word + 1},
		{in: x1(opFetchaddgez, 0, 1, 2), b: 1, want: word, memory: word},
		{in: x1(opFetchaddgez4, 0, 1, 2), b: 1, want: 0x44332291, memory: word + 1},
		{in: x1(opFetchand, 0, 1, 2), b: 0xf, want: word, memory: 1},
		{in: x1(opFetchor4, 0, 1, 2), b: 6, want: 0x44332291, memory: word | 6},
	} {
		m, cpu := machine(t, assemble(t, c.in))
		const at = 0x20008
		if err := cpu.bus.Store(at, 8, word); err != nil {
			t.Fatal(err)
		}
		cpu.r[1], cpu.r[2], cpu.sprs[sprCmpexchValue] = at, c.b, c.compare
		if err := step(t, m); err != nil {
			t.Fatal(err)
		}
		memory, err := cpu.bus.Load(at, 8)
		if err != nil || cpu.r[0] != c.want || memory != c.memory || cpu.r[1] != at+c.inc {
			t.Errorf("%s: %#x, memory %#x, address %#x; want %#x, %#x, %#x (%v)", Text(assemble(t, c.in), 0), cpu.r[0], memory, cpu.r[1], c.want, c.memory, at+c.inc, err)
		}
	}
	m, cpu := machine(t, assemble(t, x1(opLdna, 0, 1)))
	cpu.r[1] = 0x10007
	if err := step(t, m); err != nil || cpu.r[0] != assemble(t, x1(opLdna, 0, 1)) {
		t.Errorf("ldna: %#x, %v", cpu.r[0], err)
	}
}

// "Control": where each goes, and what is in lr.
func TestJumps(t *testing.T) {
	const start, taken, behind = 0x10000, 0x10020, 0x10008
	for _, c := range []struct {
		in     inst
		r1     uint64
		at, lr uint64
	}{
		{x1(opBeqz, 1, 32), 0, taken, 0},
		{x1(opBeqzt, 1, 32), 1, behind, 0},
		{x1(opBnez, 1, 32), 1, taken, 0},
		{x1(opBlbs, 1, 32), 2, behind, 0},
		{x1(opBlbc, 1, 32), 2, taken, 0},
		{x1(opBgez, 1, 32), 0, taken, 0},
		{x1(opBgtz, 1, 32), 0, behind, 0},
		{x1(opBlez, 1, 32), 0, taken, 0},
		{x1(opBltzt, 1, 32), 1 << 63, taken, 0},
		{x1(opJ, 32), 0, taken, 0},
		{x1(opJal, 32), 0, taken, behind},
		{x1(opJr, 1), taken, taken, 0},
		{y1(opJalr, 1), taken, taken, behind},
		{y1(opJalrp, lrReg), taken, taken, behind},
		{x1(opLnk, lrReg), 0, behind, behind},
	} {
		nap := assemble(t, x1(opNap))
		m, cpu := machine(t, assemble(t, c.in), nap, nap, nap)
		cpu.r[1] = c.r1
		if c.in.op == opJalrp {
			cpu.r[lrReg] = c.r1
		}
		err := m.Run(t.Context(), programs.Unhooked{})
		// It naps at once: two naps of the only vCPU end the guest.
		if at := cpu.pc - 2*bundleSize; at != c.at || cpu.r[lrReg] != c.lr {
			t.Errorf("%s with %#x is at %#x with lr %#x: %v", Text(assemble(t, c.in), start), c.r1, at, cpu.r[lrReg], err)
		}
	}
}

// What is not implemented ends the guest with its name, and is not passed over.
func TestUnknown(t *testing.T) {
	for _, c := range []struct {
		bundle uint64
		want   string
	}{
		{assemble(t, x0(opFdoubleAddsub, 0, 1, 2)), "fdouble_addsub: not implemented"},
		{assemble(t, x0(opCmul, 0, 1, 2)), "cmul: not implemented"},
		{assemble(t, x1(opIret)), "iret: not implemented"},
		{assemble(t, x1(opMfspr, 0, 0x1)), "special register MPL_MEM_ERROR_SET_1: not implemented"},
		{assemble(t, x1(opMtspr, 0x3fff, 0)), "special register 16383: not implemented"},
		{assemble(t, x1(opSwint2)), "hypervisor call 0: not implemented"},
		{assemble(t, x0(opMove, 0, 57)), "{ move r0, idn0 }"},
		{assemble(t, x0(opMove, 59, 0)), "{ move udn0, r0 }"},
		{assemble(t, x1(opIll)), "ill: not implemented"},
		{0x33bad86c08ba338c, "<invalid>"},
		{assemble(t, x1(opLd, 0, 1)), "guest"}, // address 0x1234567
	} {
		m, cpu := machine(t, c.bundle)
		cpu.r[1] = 0x12345670
		err := step(t, m)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "at 0x10000: {") {
			t.Errorf("%s: error %v, want %q", Text(c.bundle, 0), err, c.want)
		}
	}
}

func TestSpecialRegisters(t *testing.T) {
	save := int64(-1)
	for n, name := range sprs {
		if name == "SYSTEM_SAVE_1_0" {
			save = int64(n)
		}
	}
	m, cpu := machine(t, assemble(t, x1(opMtspr, save, 1)), assemble(t, x1(opMfspr, 0, save)), assemble(t, x1(opMfspr, 2, sprCycle)))
	cpu.r[1] = 77
	if err := step(t, m); err != nil || cpu.r[0] != 77 || cpu.r[2] == 0 {
		t.Errorf("%d, cycle %d, %v", cpu.r[0], cpu.r[2], err)
	}
}

// FuzzRun runs any code for a short while: it ends, or is ended.
func FuzzRun(f *testing.F) {
	add := func(bundles ...uint64) {
		f.Add(image(bundles...)[120:])
	}
	add(assemble(f, x1(opJ, 0)))
	add(assemble(f, x0(opMoveli, 0, 0x1000), x1(opMoveli, 10, 2)), assemble(f, x1(opSwint2)), assemble(f, x1(opLd, 0, 1)))
	for _, es := range encodings[:pipeY0] {
		for _, e := range es {
			add(e.match, e.match|1<<37|3<<6)
		}
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		var bundles []uint64
		for len(code) >= bundleSize && len(bundles) < 1000 {
			bundles = append(bundles, binary.LittleEndian.Uint64(code))
			code = code[bundleSize:]
		}
		if len(bundles) == 0 {
			return
		}
		m, err := emu.New(ISA(), &emu.Config{Kernel: bytes.NewReader(image(bundles...)), Memory: 256 << 10, SMP: 2, Turn: 100})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_ = m.Run(ctx, programs.Unhooked{})
	})
}
