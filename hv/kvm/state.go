//go:build linux && amd64

package kvm

import (
	"encoding/binary"

	gokvm "github.com/bobuhiro11/gokvm/kvm"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// general returns the general registers in x86's own order, which is not
// kvm_regs'.
func general(r *gokvm.Regs, n int) *uint64 {
	return [...]*uint64{
		&r.RAX, &r.RCX, &r.RDX, &r.RBX, &r.RSP, &r.RBP, &r.RSI, &r.RDI,
		&r.R8, &r.R9, &r.R10, &r.R11, &r.R12, &r.R13, &r.R14, &r.R15,
	}[n]
}

// state is a vCPU that stands still: its registers, and its view of memory.
type state struct {
	*gokvm.Regs
	sregs *gokvm.Sregs
	space *guestmem.AddressSpace
	ram   *ram
}

var _ cpuState = (*state)(nil)

func (s *state) reg(n int) uint64       { return *general(s.Regs, n) }
func (s *state) setReg(n int, v uint64) { *general(s.Regs, n) = v }
func (s *state) flags() uint64          { return s.RFLAGS }
func (s *state) setFlags(v uint64)      { s.RFLAGS = v }

func (s *state) word(addr uint64) (uint64, error) {
	var b [8]byte
	if err := guestmem.Read(s.space, guestmem.GVA(addr), b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

func (s *state) setWord(addr, v uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return s.write(addr, b[:])
}

// write writes guest memory, in a vCPU's address space.
func (s *state) write(addr uint64, b []byte) error { return writeSpace(s.space, s.ram, addr, b) }

func writeSpace(space *guestmem.AddressSpace, r *ram, addr uint64, b []byte) error {
	for len(b) > 0 {
		gpa, left, err := space.Translate(guestmem.GVA(addr))
		if err != nil {
			return err
		}
		n := int(min(uint64(len(b)), left))
		if err := r.put(gpa, b[:n]); err != nil {
			return err
		}
		b, addr = b[n:], addr+uint64(n)
	}
	return nil
}

// registers returns a register file by arch.Reg name. Those that only KVM's
// MSR calls give are added by the caller.
func (s *state) registers() map[string]uint64 {
	return map[string]uint64{
		"rax": s.RAX, "rbx": s.RBX, "rcx": s.RCX, "rdx": s.RDX, "rsi": s.RSI, "rdi": s.RDI, "rbp": s.RBP, "rsp": s.RSP,
		"r8": s.R8, "r9": s.R9, "r10": s.R10, "r11": s.R11, "r12": s.R12, "r13": s.R13, "r14": s.R14, "r15": s.R15,
		"rip": s.RIP, "eflags": s.RFLAGS, "fs_base": s.sregs.FS.Base, "gs_base": s.sregs.GS.Base,
		"cr3": s.sregs.CR3, "cr4": s.sregs.CR4,
	}
}

// namedReg returns how to read a register for a Fetch, nil for a name that
// has no register.
func namedReg(name string) func(*state) uint64 {
	for n, have := range [...]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"} {
		if have == name {
			return func(s *state) uint64 { return s.reg(n) }
		}
	}
	switch name {
	case "rip":
		return func(s *state) uint64 { return s.RIP }
	case "eflags":
		return func(s *state) uint64 { return s.RFLAGS }
	case "fs_base":
		return func(s *state) uint64 { return s.sregs.FS.Base }
	case "gs_base":
		return func(s *state) uint64 { return s.sregs.GS.Base }
	case "cr3":
		return func(s *state) uint64 { return s.sregs.CR3 }
	case "cr4":
		return func(s *state) uint64 { return s.sregs.CR4 }
	}
	return nil
}

// spaces remembers a vCPU's address space while its tables' root stays.
type spaces struct {
	cr3, cr4 uint64
	space    *guestmem.AddressSpace
}

func (c *spaces) get(r *ram, a *arch.Arch, sregs *gokvm.Sregs) (*guestmem.AddressSpace, error) {
	if c.space == nil || c.cr3 != sregs.CR3 || c.cr4 != sregs.CR4 {
		s, err := guestmem.FromRegisters(r.view, a, map[string]uint64{"cr3": sregs.CR3, "cr4": sregs.CR4})
		if err != nil {
			return nil, err
		}
		c.cr3, c.cr4, c.space = sregs.CR3, sregs.CR4, s
	}
	return c.space, nil
}
