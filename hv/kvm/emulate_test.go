package kvm

import (
	"errors"
	"testing"
)

// fakeCPU is registers, flags and a stack.
type fakeCPU struct {
	regs  [16]uint64
	f     uint64
	stack map[uint64]uint64
}

func (c *fakeCPU) reg(n int) uint64       { return c.regs[n] }
func (c *fakeCPU) setReg(n int, v uint64) { c.regs[n] = v }
func (c *fakeCPU) flags() uint64          { return c.f }
func (c *fakeCPU) setFlags(v uint64)      { c.f = v }

var errNoStack = errors.New("no stack there")

func (c *fakeCPU) word(addr uint64) (uint64, error) {
	if v, ok := c.stack[addr]; ok {
		return v, nil
	}
	return 0, errNoStack
}

func (c *fakeCPU) setWord(addr, v uint64) error {
	if _, ok := c.stack[addr]; !ok {
		return errNoStack
	}
	c.stack[addr] = v
	return nil
}

// TestPerform compares with what the Intel SDM (volume 2) says.
func TestPerform(t *testing.T) {
	const at, sp = 0x1000, 0x8000
	for _, c := range []struct {
		name  string
		code  []byte
		rax   uint64
		flags uint64 // before
		next  uint64
		want  fakeCPU // registers rax, rbx and rsp, and flags
	}{
		{"nop5", []byte{0x0f, 0x1f, 0x44, 0, 0}, 1, 0, at + 5, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp}}},
		{"endbr64", []byte{0xf3, 0x0f, 0x1e, 0xfa}, 1, 0, at + 4, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp}}},
		{"jmp rel32", []byte{0xe9, 0xfb, 0xff, 0xff, 0xff}, 1, 0, at, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp}}},
		{"jmp rel8", []byte{0xeb, 0x10}, 1, 0, at + 0x12, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp}}},
		{"je, taken", []byte{0x0f, 0x84, 0, 1, 0, 0}, 1, flagZF, at + 0x106, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp}, f: flagZF}},
		{"je, not taken", []byte{0x74, 0x10}, 1, 0, at + 2, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp}}},
		{"jg, taken", []byte{0x7f, 0x10}, 1, flagSF | flagOF, at + 0x12, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp}, f: flagSF | flagOF}},
		{"ret", []byte{0xc3}, 1, 0, 0x4242, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp + 8}}},
		{"push rax", []byte{0x50}, 1, 0, at + 1, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp - 8}}},
		{"mov ebx, eax", []byte{0x89, 0xd8}, 1 << 63, 0, at + 2, fakeCPU{regs: [16]uint64{2, 0, 0, 2, sp}}},
		{"mov rax, rbx", []byte{0x48, 0x89, 0xc3}, 1 << 63, 0, at + 3, fakeCPU{regs: [16]uint64{1 << 63, 0, 0, 1 << 63, sp}}},
		{"mov rax, -1", []byte{0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff}, 0, 0, at + 7, fakeCPU{regs: [16]uint64{1<<64 - 1, 0, 0, 2, sp}}},
		{"mov eax, -1", []byte{0xb8, 0xff, 0xff, 0xff, 0xff}, 0, 0, at + 5, fakeCPU{regs: [16]uint64{1<<32 - 1, 0, 0, 2, sp}}},
		{"lea -8(rbx), rax", []byte{0x48, 0x8d, 0x43, 0xf8}, 0, 0, at + 4, fakeCPU{regs: [16]uint64{1<<64 - 6, 0, 0, 2, sp}}},
		{"xor eax, eax", []byte{0x31, 0xc0}, 1<<64 - 1, flagCF | flagOF | flagSF, at + 2, fakeCPU{regs: [16]uint64{0, 0, 0, 2, sp}, f: flagZF | flagPF}},
		{"test rax, rax", []byte{0x48, 0x85, 0xc0}, 1 << 63, flagCF, at + 3, fakeCPU{regs: [16]uint64{1 << 63, 0, 0, 2, sp}, f: flagSF | flagPF}},
		{"test eax, eax", []byte{0x85, 0xc0}, 1 << 63, flagCF, at + 2, fakeCPU{regs: [16]uint64{1 << 63, 0, 0, 2, sp}, f: flagZF | flagPF}},
		{"add rax, 1", []byte{0x48, 0x83, 0xc0, 0x01}, 1<<64 - 1, 0, at + 4, fakeCPU{regs: [16]uint64{0, 0, 0, 2, sp}, f: flagZF | flagPF | flagCF | flagAF}},
		{"add rax, 1, overflow", []byte{0x48, 0x83, 0xc0, 0x01}, 1<<63 - 1, 0, at + 4, fakeCPU{regs: [16]uint64{1 << 63, 0, 0, 2, sp}, f: flagSF | flagPF | flagOF | flagAF}},
		{"sub rsp, 16", []byte{0x48, 0x83, 0xec, 0x10}, 1, 0, at + 4, fakeCPU{regs: [16]uint64{1, 0, 0, 2, sp - 16}, f: flagPF}},
		{"sub rax, 1", []byte{0x48, 0x83, 0xe8, 0x01}, 0, 0, at + 4, fakeCPU{regs: [16]uint64{1<<64 - 1, 0, 0, 2, sp}, f: flagSF | flagPF | flagCF | flagAF}},
	} {
		o, err := decodeOp(c.code)
		if err != nil || o.len != len(c.code) {
			t.Errorf("%s: decoded %d bytes, %v", c.name, o.len, err)
			continue
		}
		cpu := &fakeCPU{regs: [16]uint64{c.rax, 0, 0, 2, sp}, f: c.flags, stack: map[uint64]uint64{sp: 0x4242, sp - 8: 0}}
		next, err := o.perform(cpu, at)
		if err != nil || next != c.next || cpu.regs != c.want.regs || cpu.f != c.want.f {
			t.Errorf("%s: next %#x, registers %#x, flags %#x, %v", c.name, next, cpu.regs, cpu.f, err)
		}
		if c.name == "push rax" && cpu.stack[sp-8] != c.rax {
			t.Errorf("%s: pushed %#x", c.name, cpu.stack[sp-8])
		}
	}
}

// TestPerformWithoutStack: what fails leaves everything as it was.
func TestPerformWithoutStack(t *testing.T) {
	for _, code := range [][]byte{{0xc3}, {0x50}} {
		o, err := decodeOp(code)
		if err != nil {
			t.Fatal(err)
		}
		cpu := &fakeCPU{regs: [16]uint64{1, 2, 3, 4, 5}}
		before := cpu.regs
		if _, err := o.perform(cpu, 0); !errors.Is(err, errNoStack) || cpu.regs != before {
			t.Errorf("% x: %v, registers %#x", code, err, cpu.regs)
		}
	}
}

// TestMustStep: what the tracer does not perform itself keeps its length.
func TestMustStep(t *testing.T) {
	for _, code := range [][]byte{
		{0xf3, 0xc3}, // rep ret
		{0x65, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0}, // mov %gs:0, %rax
		{0x9c},                         // pushf
		{0x48, 0x8d, 0x05, 0, 0, 0, 0}, // lea 0(%rip), %rax
		{0x66, 0x50},                   // push %ax
		{0xc2, 0x08, 0x00},             // ret $8
	} {
		if o, err := decodeOp(code); !errors.Is(err, errStep) || o.len != len(code) {
			t.Errorf("% x: %d bytes, %v", code, o.len, err)
		}
	}
}

func FuzzDecodeOp(f *testing.F) {
	f.Add([]byte{0x0f, 0x1f, 0x44, 0, 0})
	f.Add([]byte{0xe9, 1, 2, 3, 4})
	f.Add([]byte{0xf3, 0x0f, 0x1e})
	f.Add([]byte{0x48, 0x8d, 0x43, 0xf8})
	f.Fuzz(func(t *testing.T, code []byte) {
		o, err := decodeOp(code)
		if err != nil {
			return
		}
		if o.len < 1 || o.len > len(code) {
			t.Fatalf("% x has %d bytes", code, o.len)
		}
		cpu := &fakeCPU{regs: [16]uint64{1, 2, 3, 4, 5}}
		if _, err := o.perform(cpu, 0x1000); err != nil && !errors.Is(err, errNoStack) {
			t.Fatal(err)
		}
	})
}
