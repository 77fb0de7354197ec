package emu

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
	"github.com/leakvisor/leakvisor/hv"
)

// The toy's instructions have four bytes: operation and a, b, c.
const (
	toyLi   = 1 + iota // a = b | c<<8
	toyLih             // a = a<<16 | b | c<<8
	toyAddi            // a = b + c, signed
	toyLd              // a = word at b + 8*c
	toySt              // word at b + 8*c = a
	toySt4             // 32 bits at b + 8*c = a
	toyBnez            // if a is not zero jump b instructions on, signed
	toyCall            // as li has it, in instructions from the start of RAM
	toyRet
	toyWait
	toyMap // translation is on: virtual addresses are one page lower physically
)

const (
	toySP   = 6
	toyLR   = 7
	toyRAM  = 0x10_0000
	toyText = 0x10_0000
)

var toyRegs = []string{"r0", "r1", "r2", "r3", "r4", "r5", "sp", "lr"}

func toyArch() *arch.Arch {
	a := &arch.Arch{
		Name: "toy", ELF: arch.ELF{Machine: elf.Machine(0x7079), Class: elf.ELFCLASS64, Data: elf.ELFDATA2LSB},
		WordSize: 8, Order: binary.LittleEndian,
		Call:  arch.Call{Args: []string{"r0", "r1", "r2"}, Stack: arch.StackArgs{Offset: 8, Count: 1}, Result: "r0", PC: "pc", SP: "sp", FP: "r5", Link: "lr"},
		Linux: arch.Linux{Text: toyText, StackSize: 256},
	}
	for i, name := range append(toyRegs, "pc") {
		a.Regs = append(a.Regs, arch.Reg{Name: name, DWARF: i, GDB: i, Size: 8})
	}
	return a
}

type toyBlock struct {
	stop bool
	code []uint32
}

type toyCPU struct {
	r      [8]uint64
	pc     uint64
	bus    *Bus
	tlb    *TLB
	blocks *Blocks[toyBlock]
	breaks *Breaks
	mapped bool
}

func toyISA() ISA {
	return ISA{Arch: toyArch(), RAMBase: toyRAM, NewCPU: func(bus *Bus, breaks *Breaks, _ int) CPU {
		c := &toyCPU{bus: bus, breaks: breaks, blocks: NewBlocks[toyBlock](bus, breaks)}
		c.tlb = NewTLB(bus, func(gva guestmem.GVA) (guestmem.GPA, uint64, error) {
			if c.mapped {
				gva -= pageSize
			}
			return guestmem.GPA(gva), pageSize - uint64(gva)%pageSize, nil
		})
		return c
	}}
}

func (c *toyCPU) PC() uint64              { return c.pc }
func (c *toyCPU) Start(pc, sp uint64)     { c.pc, c.r[toySP] = pc, sp }
func (c *toyCPU) Memory() guestmem.Memory { return c.tlb }

func (c *toyCPU) Register(name string) (uint64, bool) {
	for i, n := range toyRegs {
		if n == name {
			return c.r[i], true
		}
	}
	return c.pc, name == "pc"
}

func (c *toyCPU) Run(n int, over bool) (Stop, error) {
	for n > 0 {
		b := c.blocks.Get(c.pc, 2)
		if b == nil {
			b = &toyBlock{stop: c.breaks.Has(c.pc)}
			for at := c.pc; ; at += 4 {
				word, err := c.tlb.Load(at, 4)
				if err != nil {
					return Spent, err
				}
				gpa, err := c.tlb.Physical(guestmem.GVA(at))
				if err != nil {
					return Spent, err
				}
				c.bus.MarkCode(gpa)
				b.code = append(b.code, uint32(word))
				if op := byte(word); op >= toyBnez || op == 0 || c.breaks.Has(at+4) || (at+4)%pageSize == 0 {
					break
				}
			}
			c.blocks.Put(c.pc, 2, b)
		}
		if b.stop && !over {
			return AtBreak, nil
		}
		over = false
		for _, word := range b.code {
			n--
			c.bus.Instructions++
			idle, err := c.step(word)
			if err != nil {
				return Spent, err
			}
			if idle {
				return Idle, nil
			}
		}
	}
	return Spent, nil
}

func (c *toyCPU) step(word uint32) (idle bool, err error) {
	op, a, b, imm := byte(word), word>>8&7, byte(word>>16), byte(word>>24)
	r, next := &c.r, c.pc+4
	wide, at := uint64(word>>16), r[b&7]+8*uint64(imm)
	switch op {
	case toyLi:
		r[a] = wide
	case toyLih:
		r[a] = r[a]<<16 | wide
	case toyAddi:
		r[a] = r[b&7] + uint64(int8(imm))
	case toyLd:
		r[a], err = c.tlb.Load(at, 8)
	case toySt:
		err = c.tlb.Store(at, 8, r[a])
	case toySt4:
		err = c.tlb.Store(at, 4, r[a])
	case toyBnez:
		if r[a] != 0 {
			next = c.pc + uint64(int8(b))*4
		}
	case toyCall:
		r[toyLR] = next
		next = toyRAM + wide*4
	case toyRet:
		next = r[toyLR]
	case toyWait:
		idle = true
	case toyMap:
		c.mapped = true
		c.tlb.Flush()
		c.blocks.Flush()
		next += pageSize
	default:
		err = fmt.Errorf("operation %d is not implemented", op)
	}
	if err == nil {
		c.pc = next
	}
	return idle, err
}

// asm makes a program of instructions {op, a, b, c}.
func asm(code ...[4]byte) []byte {
	var out []byte
	for _, c := range code {
		out = append(out, c[:]...)
	}
	return out
}

func wide(op, a byte, v uint16) [4]byte { return [4]byte{op, a, byte(v), byte(v >> 8)} }

// devices makes r4 the address of the devices.
func devices(code ...[4]byte) [][4]byte {
	return append([][4]byte{wide(toyLi, 4, 0xf000), wide(toyLih, 4, 0)}, code...)
}

// end stores r3 = code into the device that ends the guest.
func end(code uint16) [][4]byte { return [][4]byte{wide(toyLi, 3, code), {toySt, 3, 4, 3}} }

// image is an ELF file with a program at the start of RAM.
func image(code []byte) []byte {
	var b bytes.Buffer
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: 0x7079, Version: 1, Entry: toyRAM, Phoff: 64,
		Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	p := elf.Prog64{Type: uint32(elf.PT_LOAD), Off: 120, Vaddr: toyRAM, Paddr: toyRAM, Filesz: uint64(len(code)), Memsz: uint64(len(code))}
	_ = binary.Write(&b, binary.LittleEndian, &h)
	_ = binary.Write(&b, binary.LittleEndian, &p)
	b.Write(code)
	return b.Bytes()
}

// handler is a Handler of functions, which may be nil.
type handler struct {
	entered func(pc guestmem.GVA, code []byte) (*hv.Plan, error)
	event   func(ev *hv.Event) error
}

func (h handler) KernelEntered(pc guestmem.GVA, code []byte) (*hv.Plan, error) {
	if h.entered == nil {
		return nil, nil
	}
	return h.entered(pc, code)
}

func (h handler) Event(ev *hv.Event) error {
	if h.event == nil {
		return errors.New("an event that nobody asked for")
	}
	return h.event(ev)
}

func toy(t testing.TB, cfg Config, code ...[4]byte) *Machine {
	t.Helper()
	cfg.Kernel = bytes.NewReader(image(asm(code...)))
	if cfg.Memory == 0 {
		cfg.Memory = 1 << 20
	}
	m, err := New(toyISA(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
