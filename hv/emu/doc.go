// Package emu is the machine around interpreters for guests that no emulator
// runs any more: memory, devices, the loop in which the vCPUs take turns, and
// hooks. Each instruction set has a folder below, which gives an ISA.
//
// Everything the guest does happens on the goroutine of Machine.Run, one vCPU
// at a time, a fixed number of instructions each: a run is the same every
// time. Hooks are addresses at which a CPU stops before it executes; the
// guest's text is not touched.
//
// The guest is an ELF file. It is loaded to its physical addresses (p_paddr)
// and vCPU 0 starts at the physical address of its entry, not translated.
//
// Devices lie from physical address DeviceBase on, each a register of the
// guest's word size in its byte order:
//
//	+0x00  write  a byte to the console
//	+0x08  read   instructions executed so far by all vCPUs, the clock
//	+0x18  write  end: 0 power off, 1 reset, anything else: the guest failed
//	+0x20  read   number of vCPUs
//	+0x28  write  start this vCPU, at PC with SP, not translated
//	+0x30  write  PC for it
//	+0x38  write  SP for it
//
// An access elsewhere, as anything else an interpreter does not know, ends the
// guest with the reason: nothing runs on by guess.
package emu
