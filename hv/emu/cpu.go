package emu

import (
	"math"

	"github.com/leakvisor/leakvisor/arch"
	"github.com/leakvisor/leakvisor/guestmem"
)

// ISA is an instruction set: what a Machine is made with.
type ISA struct {
	Arch *arch.Arch
	// RAMBase is the physical address at which RAM starts.
	RAMBase guestmem.GPA
	// NewCPU returns a CPU after reset: addresses are not translated.
	NewCPU func(bus *Bus, breaks *Breaks, vcpu int) CPU
}

// CPU is one vCPU's interpreter.
type CPU interface {
	// Run executes instructions until about n are done, before an address in
	// Breaks, or until there is nothing to do before an interrupt. With over
	// it goes on also if there is a break where it starts. With n of one it
	// executes at least an instruction, and ends behind the first that jumps.
	// It adds what it executed to Bus.Instructions.
	//
	// An error is what the guest did that cannot be gone on from, and names
	// instruction and address. The CPU stands at that instruction.
	Run(n int, over bool) (Stop, error)
	PC() uint64
	// Start sets where to begin, before the first Run.
	Start(pc, sp uint64)
	// Register reads a register by arch.Reg name.
	Register(name string) (uint64, bool)
	// Memory is what the CPU sees at virtual addresses.
	Memory() guestmem.Memory
}

// Stop is why a CPU returned.
type Stop uint8

// Reasons to stop.
const (
	Spent   Stop = iota // its time is over
	AtBreak             // before an address in Breaks
	Idle                // it waits for an interrupt
)

// Breaks are the virtual addresses at which CPUs stop.
type Breaks struct {
	at    map[uint64]bool
	from  uint64
	epoch uint64
}

func newBreaks() *Breaks { return &Breaks{at: map[uint64]bool{}, from: math.MaxUint64} }

// Has says whether a CPU stops before the instruction at pc.
func (b *Breaks) Has(pc uint64) bool { return pc >= b.from || b.at[pc] }

// Epoch changes with the addresses: code that was decoded with others is void.
func (b *Breaks) Epoch() uint64 { return b.epoch }

// set makes the breaks those in at, and all from an address on.
func (b *Breaks) set(at map[uint64]bool, from uint64) {
	b.at, b.from = at, from
	b.epoch++
}
